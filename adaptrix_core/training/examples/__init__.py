"""Training examples: pairs of texts, read, held out, encoded and packed.

Files:

datasets  Where training pairs come from: a task family, a JSONL file, or a data set known by name
encoding  Pairs of texts as token ids, as the base model will see them in a conversation
held_out  Which examples are kept out of a training, so that what is reported was never trained on
jsonl     Pairs from a JSONL file, where every line that cannot be used is named with its number and what is wrong
          with it
packing   Training examples as token ids, and several of them in one row
"""
