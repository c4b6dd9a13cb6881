"""Composition: how several adapters work together on one answer.

Files:

compose   Turns a request's composition into a mix, by the strategy that it names
parallel  The strategy ``parallel``: all adapters at once, their weighted LoRA terms added up
"""
