"""How far adapters move the base model's context, and what anchoring them costs.

Files:

anchoring  What anchoring changes in right answers: the shipped adapters on their own held-out problems, with and
           without it
drift      How far the shipped adapters move the base model's states, attention and predictions
prompts    The engine and the prompts that the benchmarks of context share
rows       Rows of a table that are kept in a file, so that an interrupted benchmark measures none of them twice
"""
