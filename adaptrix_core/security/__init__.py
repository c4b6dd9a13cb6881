"""Security of what others send: code that models write runs where it can do no harm. Knows no engine.

Files:

sandbox/  The sandbox: code that nobody vouches for is run, and its values come back; nothing else does
"""
