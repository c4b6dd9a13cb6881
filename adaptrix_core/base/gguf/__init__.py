"""`.gguf` files read whole: configuration, tensors and tokenizer in transformers' terms.

Files:

config      A GGUF file's metadata as a transformers configuration, for the architectures that are served
conversion  Writes a GGUF file as a directory that transformers reads: weights, configuration, tokenizer, generation
            defaults
file        One `.gguf` file opened for conversion: its keys and tensors by name, and which of them nobody has used
            yet
header      The `general.*` entries at the beginning of a GGUF file: what the file says that it is
rope        How a GGUF file scales rotary position embeddings, in transformers' terms
scan        Whether a GGUF file's weights are quantised, and what it says of sampling; nothing else of it is read
tensors     A GGUF file's weights under transformers' names, as values or in the file's own quantised form
tokenizer   What a GGUF file says of its tokenizer, checked against what transformers makes of it; which tokens end an
            answer
"""
