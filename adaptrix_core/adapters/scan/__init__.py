"""Looks at the weights of adapters that can be loaded, for what somebody should know before trusting them.

Files:

norm_outliers  Updates of an adapter that are far larger than its others: a sign of planted behaviour, or of a spoilt
               training
"""
