"""Confidence: how sure an answer is. So far scores only, which are no probabilities.

Files:

evidence  What the computation of an answer shows of how sure it is
logprobs  The estimator ``logprob_sum``: the natural-log probability of the whole answer
scoring   Scores answers by the estimators that a request names
"""
