"""How sure an answer must be, and how sure it is: what the command line asks, and what it shows.

Files:

answer_feedback     `feedback`: whether an answer was right, which moves how sure such answers must be
confidence_options  Options on how sure an answer is to be: read, checked before anything is asked, and put into a
                    request's body
local_confidence    How sure the local engine's answers are: gathered from the events of a row while its text is shown
local_until_sure    Holds a local engine's answers back until one is sure enough, as servers do (policy:
                    `confidence/until_sure.py`)
told_confidence     How sure an answer is, as whoever answers tells it, and the answers before it that were not sure
                    enough
"""
