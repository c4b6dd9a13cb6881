"""Keys and values of computed tokens: paged blocks, and which of them others can take over.

Files:

blocks          Blocks of one layer span: counted references, found again by key, the least recently used given out
                first (LRU)
cut             Chooses the cut, the layer at which the branch begins, from the adapters that will be served
kv_cache        Paged keys and values: fixed-size blocks, one pool and one block table per layer span
prefix          The prefix cache: finds the computed blocks that a row can take over instead of computing them
question_means  Means of the states at the cut over the tokens of questions: what the trunk has made of them
"""
