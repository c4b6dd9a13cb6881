"""Signals: opinions on which adapter a message belongs to, as log-odds.

Files:

embedding  The embedding signal: how much more a message resembles an adapter's description and examples than other
           texts
keywords   The keyword signal: the words of an adapter's rule that a message holds, weighted by how rare they are
weights    Fits the weights of the router's signals on labelled prompts; a signal that adds nothing gets 0
"""
