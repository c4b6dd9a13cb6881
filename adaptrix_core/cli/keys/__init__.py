"""API keys made, listed, rotated and ended, in the file that a server follows.

Files:

command  `keys`: make, list, rotate and end API keys
moments  Moments and durations as people type them
"""
