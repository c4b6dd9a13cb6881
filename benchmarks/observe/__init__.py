"""What observing costs.

Files:

tracker  How fast the tracker writes, and how long its answers take once its file holds many requests, in milliseconds
"""
