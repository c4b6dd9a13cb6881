"""Feedback: what people say of decisions moves each adapter's threshold, within bounds.

Files:

adaptive    Thresholds that follow feedback: each owner's labels move the thresholds of its own decisions, and nobody
            else's
answers     Labels of answers: each owner's move how sure answers must be for the owner, and for nobody else
label_book  The labels of every owner on disk, bounded: the latest ones of each, and the owners that labelled last
labels      Labels: what somebody said of a decision, and the margin that it was made with
thresholds  Chooses each adapter's threshold by labels: within bounds, and never at the price of the base model's
            share
"""
