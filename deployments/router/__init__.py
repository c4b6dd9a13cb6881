"""The deployment that picks adapters by meaning.

Files:

deployment       The router deployment: decides which adapter answers, from the text alone; it is not on the way of
                 the tokens
embedding_turns  Texts that wait for the embedding model: embedded together, and in turns between tenants
"""
