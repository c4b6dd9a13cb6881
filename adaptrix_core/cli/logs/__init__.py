"""The log of questions and answers on the command line, kept on this machine.

Files:

command  `logs`: look up, search and delete what was asked and answered on this machine
logbook  The log: conversations in one SQLite file that only its owner can read
place    Where the log of questions and answers lies, and whether there is to be one
turn     One question and its answer, as a conversation and the log keep them
"""
