"""The deployment that picks adapters by meaning.

Files:

deployment  The router deployment: decides which adapter answers, from the text alone; it is not on the way of the
            tokens
"""
