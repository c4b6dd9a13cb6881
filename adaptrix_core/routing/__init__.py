"""Messages in, decision out: which adapter, if any, should answer.

Knows texts, embeddings and adapter descriptions. Does not know adapters' weights, the engine or the caller.

Files:

calibrate     Choose the router's thresholds on labelled prompts
calibration   The numbers of the routing rule, and their file
catalogue     Route cards: each adapter's own description of its purpose
continuity    Continuity: how much a message goes on with its conversation, by vectors of the texts
conversation  The part of a conversation that is routed: the texts of the user's turns, long ones cut
embedder      Embeds texts to unit vectors, by a sentence-transformers model
evaluation    Measure the router on held-out prompts
message       One message as the router's signals see it: its text, and what was computed of it
near_tie      Breaks near-ties: of adapters that a message fits equally well, the one that is cheapest to load answers
packed_bert   A BERT encoder over packed 8-bit weights: four times faster on a short text than transformers' modules
policy        The routing rule, which turns margins into a decision, and the record of a decision
prompts       The hand-written prompts: the background class, the calibration sets, and the measuring sets
scorer        Scores how much more a text resembles one set of examples than another
semantic      The semantic router: decides by what its signals say of a message and each adapter's card
vote          The vote: the weighted sum of what the signals say of one message
feedback/     Feedback: what people say of decisions moves each adapter's threshold, within bounds
signals/      Signals: opinions on which adapter a message belongs to, as log-odds
trunk/        The trunk's opinion: texts read through the base model's trunk, and choices that are settled at the cut
words/        What words say without any model: tokens, keyword rules, vectors of characters, the parts of a compound
              question
"""
