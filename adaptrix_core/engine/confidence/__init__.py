"""Confidence of the engine's answers: judged when they are whole, held back until one is sure enough.

Files:

further     Scores answers by what needs further computing: samples, other mixes, and whether code runs
judged      Scores and confidence of finished rows, where a caller has asked for them
until_sure  Answers one question until an answer is sure enough, as servers do; the policy is
            `confidence/until_sure.py`
"""
