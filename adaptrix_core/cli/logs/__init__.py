"""The log of questions and answers on the command line, kept on this machine.

Files:

command  `logs`: look up, search and delete what was asked and answered on this machine
logbook  The log: conversations in one SQLite file that only its owner can read
place    The path of the log of questions and answers, and whether there is one
turn     One question and its answer, the record of conversations and the log
"""
