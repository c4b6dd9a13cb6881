"""The memory of a conversation: which of its turns go into the next prompt.

Files:

conversation  A conversation with an engine that lasts longer than the model's context
exchanges     A conversation in exchanges: a question and all that followed it, until the next question
relevance     How relevant earlier exchanges are to a question: by meaning with an embedder, or by rare words without
              one
selection     Which exchanges of a conversation go into the next prompt: the rule of the memory
sizes         How many tokens each exchange of a conversation takes in a prompt
summary       A summary of the turns that prompts leave out: written by the model, passed on, and kept within a budget
              of tokens
"""
