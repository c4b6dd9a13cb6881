"""The tracker of a cluster: one process with its file, what every ingress sends it, and what it is asked.

Files:

actor    The tracker as a named, detached actor: it outlives ingresses and deployments, and restarts from its file
handle   Finds the tracker's actor, or makes it; and asks it
sender   Sends what requests leave to the tracker, batch after batch, beside everything else
tracker  The tracker of one file: takes batches in, answers questions, and lets what is too old go, without holding up
         others
"""
