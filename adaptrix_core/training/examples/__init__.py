"""Training examples: pairs of texts, read, held out, encoded and packed.

Files:

conversation    A conversation to learn from: what was said, the functions that could be called, and the reply to
                learn
data            The data of a training run: conversations to train on, and those that are held out
datasets        Sources of training conversations: a task family, a JSONL file, or a data set known by name
encoding        Encodes conversations as token ids, in the form in which the base model is asked when it serves
held_out        Splits off the held-out examples of a training, on which results are reported
jsonl           Reads conversations from a JSONL file; every unusable line is reported with its number and fault
openai_form     OpenAI's fine-tuning form: a line's ``messages`` and ``tools`` as a conversation, or what is wrong
                with them
packing         Packs training examples, as token ids, several into one row
route_examples  Routing examples of an adapter from its own training data: few questions, as different from one
                another as may be
"""
