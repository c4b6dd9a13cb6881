"""Measures the quality of adapters: suites of problems and users' own examples, asked, marked and reported.

Files:

data_evaluation  How good adapters are on somebody's own examples: right replies, and the loss on the written ones
evaluate         Measure shipped adapters: held-out problems, hand-written paraphrases, and prompts that none of them
                 should answer
prompting        How a problem is put to a model, and who answers
remembered       Replies kept in a file, so that an evaluation that is cut off, or repeated, asks no question twice
report           An evaluation as a table for people and as JSON for programs
sandbox          Run code written by a model, kept away from everything
scorers          Ways to say whether a reply is right, by name: what `adaptrix evaluate --data --scorer` offers
scoring          One family of problems under every condition: the base, each adapter, and whatever the router chooses
"""
