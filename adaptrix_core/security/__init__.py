"""Security: code that models write does no harm, and what is done to a server is recorded. Knows no engine.

Files:

audit/    The audit log: who did what to the server, in lines that hold each other in place, with signed checkpoints
sandbox/  The sandbox: code that nobody vouches for is run, and its values come back; nothing else does
"""
