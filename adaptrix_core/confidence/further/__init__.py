"""Estimators that look at more than the answer itself: samples, other mixes, and whether code runs.

Files:

agreement     How many of several answers state the same as one
code_running  The estimator ``code_runs``: whether an answer's code defines a function that returns something
others        Estimators from other mixes: how likely the answer is under them, and whether theirs is the same
samples       Estimators from samples: further answers of the same mix to the same question
"""
