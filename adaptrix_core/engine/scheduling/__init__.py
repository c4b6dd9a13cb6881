"""Scheduling: the rows of the next step, and admission of requests. Engine thread only.

Files:

admission      Which requests the queue takes: those that fit, and whose turn comes soon enough to be of use
backlog        How long a new row would wait for its place: tokens that come before it, over the measured rate
deadlines      Rows with a deadline, the nearest first
fair_share     Tokens served to each party: virtual token counters, in a tree
prompt_budget  How many prompt tokens one step computes beside its decoding rows: pure arithmetic, which the simulator
               shares
quarantine     Finds the row that breaks a step: rows under suspicion are computed apart from the others until it is
               known
scheduler      Which rows run in the next step, and with which tokens
waiting        Rows that wait, and which of them is next
"""
