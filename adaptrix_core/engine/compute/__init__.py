"""One step computed: layers, attention and the ways to run them fast.

Files:

attention         Attention over paged keys and values, for a packed batch of rows
backend           The backend of a base model, chosen once: layers as modules with hooks, or as native calls over
                  packed weights
compiled          Regional compile: one compiled function for all decoder layers, made in the background while layers
                  run as they are
graphed           Decode steps in fixed shapes: captured once as CUDA graphs and replayed, one launch instead of one
                  per kernel
inspected         A run of one prompt with its inside kept: the states that leave every layer, and what every layer
                  attends by
inspected_packed  The inspected run (`inspected.py`) over packed weights
native            Spans of layers over packed weights: one call of the kernels for all of a step's spans that compute
                  the same tokens
newest_attention  How the newest tokens of some rows attend, noted while a step runs the middle layers, for the rows
                  that ask
paged_library     Attention over the paged cache through FlashInfer, on CUDA devices that have it
runner            One step of computation: a batch of chunks in, the next token of every row that reached its end out
spans             Runs spans of layers on a step's chunks: the protocol of a backend, and the backend over
                  transformers modules
"""
