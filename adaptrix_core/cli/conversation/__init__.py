"""A conversation on the terminal: questions, answers, and commands that start with a slash.

Files:

commands        The commands of a conversation: what each is called, what it takes and does
completion      What Tab offers: commands, and after a command what it takes
dialogue        What a conversation consists of at one moment: who is asked, how, under which system message, and what
                was said
line_source     Where questions come from: an editor on a terminal, or plain lines of a pipe or file
log_keeper      Keeps the log in step with a conversation
quiet_terminal  While an answer is shown, the keyboard is silent: what is typed meanwhile neither mixes with it nor
                gets lost
sampling        What `/set` may set: the sampling fields of a request, by the names and within the limits of the HTTP
                API
talk            Holding a conversation: entries are read one after another until the input ends or somebody leaves
transcript      A conversation as a file: JSON that is also a body for ``POST /v1/chat/completions``
"""
