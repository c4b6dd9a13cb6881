"""Which rows run next, and which requests are taken at all. Engine thread only.

Files:

admission      Which requests the queue takes: those that fit, and whose turn comes soon enough to be of use
backlog        How long a new row would wait for its place: tokens that come before it, over the measured rate
deadlines      Rows with a deadline, the nearest first
fair_share     Who has been served how much: virtual token counters, in a tree
prompt_budget  How many prompt tokens one step computes beside its decoding rows: pure arithmetic, which the simulator
               shares
quarantine     Which row is it that breaks a step? Rows under suspicion are computed apart from the others until that
               is known
scheduler      Which rows run in the next step, and with which tokens
waiting        Rows that wait, and which of them is next
"""
