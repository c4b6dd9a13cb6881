"""The deployment that picks adapters by meaning.

Files:

deployment          The router deployment: decides who answers, from the text alone, and steps out of the way
residency_follower  Where adapters' weights are in the whole cluster, as the router knows it: a little late, and cheap
                    to know
"""
