"""The deployment beside the requests, which works on what tenants have left with the server.

Files:

deployment  The deployment beside the requests: one process that keeps the objects of tenants, and works on their
            batches
"""
