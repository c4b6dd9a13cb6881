"""The endpoints, one file for each noun.

revocations  ``/v1/revocations``: the signed list in force, and the next one. Translates only; the store decides.
"""
