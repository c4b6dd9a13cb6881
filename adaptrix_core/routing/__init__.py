"""Messages in, decision out: which adapter, if any, should answer.

Knows texts, embeddings and adapter descriptions. Does not know adapters' weights, the engine or who is asking.
"""
