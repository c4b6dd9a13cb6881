"""Routing from the trunk beside the embedder: how often it is right, from how few examples, and what it costs.

Files:

accuracy     How often the trunk, the embedder and both together say who should answer, and from how few examples
cost         What it costs to settle at the cut: the mean and the probes beside a prefill, and the first token in
             turns
first_token  How much later the first token of `auto` comes over HTTP than that of a named adapter, with the trunk and
             without
"""
