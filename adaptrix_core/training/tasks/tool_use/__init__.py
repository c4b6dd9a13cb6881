"""The family ``tool_use``: conversations in which functions help, or don't, drawn from skills.

Files:

acting           Skills that do something: send, set, play, note
drawing          Draws conversations in which functions help, or don't
family           The family ``tool_use``: conversations with functions to learn from, and others to measure by
held_out_skills  Skills that are never trained on, by which it is measured what carries over to new functions
looking_up       Skills that look something up: the weather, the time, a person, an order
make_texts       Writes the base model's own answers to the plain questions: ``python -m …tool_use.make_texts FILE``
reckoning        Skills that reckon with numbers, pick one, or put a word into another language
skill            A skill: something that a function can do, with the ways in which people describe it, ask for it and
                 are answered
texts            Questions for which no function helps, and the base model's own answers to them
vocabulary       Words that arguments of functions are made of
"""
