"""The router measured: held-out prompts, its signals alone and together, many adapters, and feedback.

Files:

answers          Answers, not names: right answers of the routed system, on what an adapter was taught and on its
                 topic beyond that
comparison       The router's signals alone and together, each set calibrated by the same rule and measured on the
                 same prompts
default_weights  What other weights of the signals would cost as the built-in ones: on other catalogues than the
                 thresholds were chosen for, at thresholds that an operator sets, in time, and in conversations
index            What the plain matrix of the embedding signal costs a decision, by the number of adapters
labels           Fifty labels, right and false: what they change on prompts that were not labelled
learnt           Fifty learnt messages: what their texts bring on prompts that were not learnt, the thresholds being
                 as before
methods          Ways of scoring how near a text is to an adapter's examples, compared: why the router's scorer is
                 what it is
topic_set        150 topics of the shape of CLINC150 (Larson et al., EMNLP-IJCNLP 2019: 150 intents in 10 domains), by
                 a generator
topics           The router with 150 adapters: how often it finds the right one, by signal and number of examples
"""
