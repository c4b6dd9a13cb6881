"""Commands that make, import and measure adapters; they need no server.

Files:

calibrated_choice    Who is calibrated: the base model, an adapter, a mix, or a composition that comes to one mix
calibrated_policies  The policies whose curves `calibrate` is to measure: what is asked for, and what their fallbacks
                     say
calibration          `calibrate`: how far somebody's answers can be trusted, measured and kept as a signed calibration
composed_conflicts   What `compose` does about conflicts before a composition is signed: measured, then as the
                     settings say
composing            `compose`: make a composition of adapters, a package of its own
conflicts            `conflicts`: whether adapters get along in a mix, by their weights and by what becomes of their
                     answers
evaluation           `evaluate`: how good adapters are, on held-out problems of their tasks or on somebody's own
                     examples
exchange             `import` and `export`: PEFT directories in and out
gates                `train-gate`: a gate over adapters, learned from examples, as a composition with a name
layers               Lists of layers on the command line: ``10,14,18`` or, as fractions of the depth,
                     ``0.33,0.47,0.6``
merge                `merge`: one adapter made from several, by TIES, by DARE or as a sum
packaging            What makes an adapter or a composition a package: version, licence, what it is for, and the key
                     that signs it
publication          The adapter directory that a training is to write: checked before the training, written after it
training             `train`: an adapter from examples
"""
