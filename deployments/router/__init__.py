"""The deployment that picks adapters by meaning.

Files:

deployment          The router deployment: decides which adapter answers, from the text alone; it is not on the way of
                    the tokens
residency_follower  The residency of adapters in the whole cluster, polled for the router: cheap, and up to a second
                    old
"""
