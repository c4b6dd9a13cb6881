"""The deployment that picks adapters by meaning.

Files:

deployment       The router deployment: decides which adapter answers, from the text alone; it is not on the way of
                 the tokens
embedding_turns  Texts that wait for the embedding model: embedded together, and in turns between tenants
explanation      Explains who would answer messages sent to ``auto``: what each signal says, the base model's own
                 reading included
handle           The router, through its deployment handle: for the ingress, and for replicas that ask while they
                 compute
standing         Whether the router has to be asked of every question, as a replica knows it without asking on a
                 request's way
views            The router of each view of the catalogue: what a tenant does not see is never scored for it, nor told
                 to it
"""
