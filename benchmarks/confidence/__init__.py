"""How well estimators of confidence tell right answers from wrong ones: all that are built in, and some that cost more.

Files:

cost      What it costs to ask for the evidence of confidence: milliseconds added to a step, by rows and by what is
          asked for
dearer    Estimators that need further computing, on the same answers as the default
feedback  Labels of answers and `min_confidence`, simulated: the gain where questions differ, and what false labels
          cost
figures   The figures of one estimator: how it orders answers, by family and kind, and what its probabilities are
          worth
further   What needs further computing about an answer, by the library's parts, kept in a file as it comes
policies  What holding answers back does to how many are given and how many of these are right, by policy and
          threshold
table     Figures of estimators as a table for people
"""
