"""Keys and values of computed tokens: paged blocks, and which of them others can take over.

Files:

blocks    Blocks of one layer span: counted references, found again by key, the least recently used given out first
          (LRU)
cut       Where the trunk ends and the branch begins, chosen from the adapters that will be served
kv_cache  Paged keys and values: fixed-size blocks, one pool and one block table per layer span
prefix    Which computed blocks a row can take over instead of computing them
"""
