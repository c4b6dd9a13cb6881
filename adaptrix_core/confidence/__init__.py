"""Confidence: how sure an answer is. Scores order answers; calibrated ones are probabilities.

Files:

attention    Estimators from attention: RAUQ, by what tokens attend to their predecessors, and the entropy of
             attention
calibration  A calibration: from an estimator's score to the probability that an answer is right, and what it was
             measured to do
code_form    The code in an answer, and the estimator ``code_parses``: whether it is code
evidence     What the computation of an answer shows of how sure it is
fallbacks    The words for what comes after an answer that is not sure enough
feedback     What people say of answers moves how sure an answer must be for them: by adapter, and within bounds
judging      How sure a finished answer is: its scores, and its confidence where a calibration holds for it
logprobs     Estimators from the log-probabilities of an answer's tokens: their sum, mean and lowest, and the
             perplexity
scoring      Scores answers by the estimators that a request names
shelf        The calibrations that are at hand: read and verified once, found by who answers, on which base and in
             which layout
signed       Signed files of calibrations: a directory with `calibration.json` and the signature over it
spreads      Estimators from the spread of each token's distribution: entropies, and the margin over the second token
until_sure   Holds an answer back until one is sure enough: who is asked next, and which answer is given in the end
further/     Estimators that look at more than the answer itself: samples, other mixes, and whether code runs
"""
