"""`.gguf` files read whole: configuration, tensors and tokenizer in transformers' terms.

Files:

config      A GGUF file's metadata as a transformers configuration, for the architectures that some family reads
conversion  Writes a GGUF file as a directory that transformers reads: weights, configuration, tokenizer, generation
            defaults
file        One `.gguf` file opened for conversion: its keys and tensors by name, and a record of those not used yet
header      The `general.*` entries at the beginning of a GGUF file: its own description
keys        The keys of a GGUF file that describe its model's shape, as every family reads them
rope        A GGUF file's scaling of rotary position embeddings, in transformers' terms
scan        Reads the types of a GGUF file's weights and its sampling values, and nothing else of the file
tensors     A GGUF file's weights under transformers' names, as values or in the file's own quantised form
tokenizer   A GGUF file's tokenizer, checked against the one that transformers makes of it, and the tokens that end an
            answer
"""
