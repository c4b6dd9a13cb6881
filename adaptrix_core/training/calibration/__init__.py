"""Calibrates confidence: answers collected and marked, a probability fitted to their scores, and how good it is.

Files:

answers    Collects an adapter's answers with their evidence, marked, in a file from which an interrupted run goes on
calibrate  Calibrates confidence: marked answers become a calibration, with what it was measured to do
fitting    From scores to probabilities: Platt scaling or isotonic regression, whichever foretells unseen answers
           better
measures   How good scores and probabilities are: AUROC, prediction rejection ratio, expected calibration error,
           coverage
policies   What policies of holding back do, by threshold: how many questions get an answer, and how many of these are
           right
questions  The questions that an adapter's confidence is calibrated on: of its task family, or somebody's own examples
"""
