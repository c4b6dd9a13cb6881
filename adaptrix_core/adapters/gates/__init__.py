"""Learned gates at rest: the file of a composition that has one.

Files:

gate_file  A composition's learned gate as a file, written and read
"""
