"""The audit log: who did what to the server, in lines that hold each other in place, with signed checkpoints.

Knows files and keys; neither Ray nor HTTP, nor what the actions are.

Files:

chain         The chain, line after line: numbers without a gap, each line's hash in the next one, checkpoints that
              fit
checkpoint    Checkpoints: signed statements of how long the log is, and of the hash of its last line
log           The open log, which one process at a time writes: lines are on the disk when `append` returns, or not in
              the log
opening       Finds the end of a log that is to be written to, and puts a half-written end aside
reading       The records of a log, for whoever looks something up; verifying it is another matter
record        One line of the audit log: who did what to what, and how it ended; its one form as bytes, and its hash
retention     Which files of a log are old enough to be removed
segment_file  The file that is being written: what is appended is on the disk, or taken back
segments      The files of a log: segments, each named by the number of its first line
shipping      Checkpoints shipped elsewhere: to a directory that the log's disk cannot change, and into the server's
              own log
signing_key   The key that signs checkpoints: Ed25519, made at first use, used for nothing else
verification  Verifies a log on disk: every line, every checkpoint in it, and checkpoints that were shipped elsewhere
writer        The writer: takes events from any thread, and says when each is on the disk
"""
