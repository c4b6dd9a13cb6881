"""Groups: the rows that serve one request together, and rows that change their mix in mid-answer.

Files:

asking     What a group by name comes to in a request: mixes, changes of them, and shares of rows that choose together
beginning  Who begins an answer where what its question is about decides: settled at the cut, once, before the first
           token
chosen     Who is chosen by name, loaded: the adapters of a choice, their mix, and how they ask to be sampled
composed   Answers of compositions that one row cannot give: steps one after another, and votes on several answers
ensemble   An ensemble: rows under different mixes that choose every token together, by their mean log-probability
making     Makes the rows of a request: one for each mix and choice, or for each choice an ensemble of one for each
           mix
sampling   The next tokens of rows, some of which choose theirs together with others (`ensemble.py`)
switching  The changes of mix that a row makes by itself, between two tokens, where conditions on its answer hold
"""
