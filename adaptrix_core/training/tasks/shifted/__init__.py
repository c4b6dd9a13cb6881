"""Problems unlike those of training, with exact answers: freely worded ones, and harder ones.

Nothing is trained on them. Confidence is calibrated on them beside held-out problems, as it would else promise for
users' questions what it has only seen on problems in the training's own words.

Files:

free_code     Free wordings of short Python functions, each with a function that is right
free_logic    Free wordings of riddles: relatives, statements with quantifiers, sisters and friends, in words unlike
              training's
free_math     Free wordings of arithmetic: sums, equations and legs, in words that no training problem has
problem_sets  What confidence is calibrated on: held-out problems of a family, harder ones, and freely worded ones
wording       A free wording: one way of asking for something, with numbers or names to be drawn, and its exact answer
"""
