"""Measures the quality of adapters: suites of problems and users' own examples, asked, marked and reported.

Files:

attention_reduction  Weights of a mix reduced by attention: an adapter counts less, the more it disturbs what the main
                     one attends to
data_evaluation      Measures adapters on a user's own examples: share of right replies, and loss on the reference
                     replies
evaluate             Measures shipped adapters: held-out problems, hand-written paraphrases, and prompts that none of
                     them should answer
interference         Measures what a mix does to the answers of its adapters, on prompts of their own
mix_measurement      Measures a mix as it is signed: what it does to its adapters' answers, and the weights that
                     attention leaves them
prompting            Prompts for problems, and the generators that answer them
remembered           Keeps replies in a file, so that an interrupted or repeated evaluation asks no question twice
report               An evaluation as a table for people and as JSON for programs
scorers              Scorers of replies, by name, for `adaptrix evaluate --data --scorer`
scoring              Scores one family of problems under every condition: the base, each adapter, and the router's
                     choice
tool_evaluation      Measures adapters that call functions, beside the base model: on held-out functions, and on
                     hand-written requests
tool_marks           Marks replies that may call functions: the decision, the function, the arguments, the answer
                     after a result
"""
