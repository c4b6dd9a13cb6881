"""Figures of requests on the command line, from a running server or from the tracker's file.

Files:

command  `stats`: how many requests, by whom and for whom, their tokens, and how long they took
costs    `costs`: what was used, by tenant, key, adapter and day, with prices; as a table, CSV, JSONL, or FOCUS
         records
since    Moments in the past as people type them: how long ago, or a date
"""
