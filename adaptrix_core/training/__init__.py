"""Train adapters on the frozen base model, and measure how good they are.

Files:

attached         Updates at injection points of an unpacked model, added while a context lasts and open to gradients
choice_training  Trains a gate to choose one adapter for a whole question: the one that answers such questions best
config           The settings of a training run, checked before anything is loaded
gate_learning    Learns a gate over adapters from conversations, in one of two ways, and binds it to their weights
gate_training    Trains a gate over adapters that stay as they are, on a few hundred examples (LoRA-Flow,
                 arXiv:2402.11455)
provenance       The recorded provenance of a training: enough to repeat it, nothing about the machine
publish          Turns a finished run into the adapter directory that is served: bf16 weights, metadata, signature
result           The result of a run: its steps and losses, and their file (``training.json``)
run              Runs a training from its `TrainConfig`: checks, reads the data, loads the base, trains, reports
run_report       A run's report for people: ``README.md`` in its directory, and the loss curve as a picture
trainer          Trains LoRA weights on chosen layers of a frozen base model
trunk            The frozen layers below the first trained one: computed once per example, reused in later epochs
calibration/     Calibrates confidence: answers collected and marked, a probability fitted to their scores, and how
                 good it is
evaluation/      Measures the quality of adapters: suites of problems and users' own examples, asked, marked and
                 reported
examples/        Training examples: pairs of texts, read, held out, encoded and packed
tasks/           Generated problems with exact answers, by task, and the families of tasks that adapters learn
"""
