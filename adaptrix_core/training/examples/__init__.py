"""Training examples: pairs of texts, read, held out, encoded and packed.

Files:

datasets  Sources of training pairs: a task family, a JSONL file, or a data set known by name
encoding  Encodes pairs of texts as token ids, in the form of a conversation with the base model
held_out  Splits off the held-out examples of a training, on which results are reported
jsonl     Reads pairs from a JSONL file; every unusable line is reported with its number and fault
packing   Packs training examples, as token ids, several into one row
"""
