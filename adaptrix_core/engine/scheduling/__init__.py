"""Scheduling: the rows of the next step, and admission of requests. Engine thread only.

Files:

admission      Admission control: the queue takes requests that fit, and whose turn comes soon enough to be of use
backlog        Estimates a new row's wait for its place: tokens that come before it, over the measured rate
deadlines      Rows with a deadline, the nearest first
fair_share     Tokens served to each party: virtual token counters, in a tree
prompt_budget  The budget of prompt tokens in one step, beside its decoding rows: pure arithmetic, which the simulator
               shares
quarantine     Finds the row that breaks a step: rows under suspicion are computed apart from the others until it is
               known
scheduler      Chooses the rows of the next step, and the tokens of each
waiting        The waiting rows, and the order in which they join
"""
