"""Messages in, decision out: which adapter, if any, should answer.

Knows texts, embeddings and adapter descriptions. Does not know adapters' weights, the engine or who is asking.

Files:

calibrate     Choose the router's thresholds on labelled prompts
calibration   The numbers that the routing rule uses, and the file they are kept in
catalogue     Route cards: what each adapter says it is for
conversation  What of a conversation is routed: the texts of the user's turns, long ones cut
embedder      Texts to unit vectors, by a sentence-transformers model
evaluation    Measure the router on held-out prompts
near_tie      Which of several adapters that a message fits equally well answers: the one that costs least to load
packed_bert   A BERT encoder over packed 8-bit weights: a short text costs a quarter of what it costs in transformers'
              modules
policy        The rule that turns margins into a decision, and what a decision is
prompts       The hand-written prompts: what the router contrasts with, what it is calibrated on, and what it is
              measured on
scorer        How much more a text looks like one set of examples than like another
semantic      The router: compares a message with what each adapter says it is for
"""
