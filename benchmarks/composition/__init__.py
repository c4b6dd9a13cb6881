"""Composition: questions that need two adapters, and what adapters do to each other.

Files:

base_planner       Could the base model itself divide questions? Its plans, held to a grammar, against the planner's
                   rules
conflicts          Do scores of conflict foretell what a mix costs? Scores of each mix, and the accuracy that its
                   adapters lose in it
dividing           How often the planner divides questions that ask for one thing, and finds the steps of those that
                   ask for two
gate_cost          What a gate costs beside one adapter and beside a static mix of the same adapters: tokens per
                   second, by rows
gates              A gate where it can win: two adapters of one output format, trained on disjoint halves of a task,
                   tested on both
nested_problems    Questions inside of which another one is nested: "Add 5 to the number of legs that 3 dogs have."
planned            Two-step questions: a plan, the adapters one after another, against every way of answering in one
                   go
shipped_gates      Gates over the shipped adapters, which answer questions of their own: is one ever worth more than
                   routing?
shipped_problems   Held-out problems of each shipped adapter, asked under any choice of adapters, and their answers
                   marked
strategies         Every strategy over the shipped adapters, beside the best single one: is any of them worth more
                   than routing?
two_step_problems  Two-step problems over the shipped families, with exact answers: the second step needs the answer
                   of the first
two_step_wordings  Ways in which people ask for two things in a row, the second about the answer to the first
"""
