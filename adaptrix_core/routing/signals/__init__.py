"""Signals: opinions on which adapter a message belongs to, as log-odds.

Files:

classifier       The classifier signal: one regression per adapter, against the background, all other adapters, and
                 labelled messages
embedding        The embedding signal: how much more a message resembles an adapter's description and examples than
                 other texts
evidence_file    Evidence: messages that somebody has labelled, and tasks with what each adapter was measured to do
kept_vectors     Vectors of the catalogue's texts on disk, so that a router starts without embedding them again
keywords         The keyword signal: the words of an adapter's rule that a message holds, weighted by how rare they
                 are
learnt_messages  Messages that operators have had the router learn: their texts, and who should answer each, kept on
                 disk
tasks            The task signal: which task a message is, by a small set of questions for each, and who is good at
                 that task
trunk            The trunk signal: what the base model itself has made of a question, where its trunk ends
weights          Fits the weights of the router's signals on labelled prompts; a signal that adds nothing gets 0
"""
