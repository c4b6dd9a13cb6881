"""A conversation on the terminal: questions, answers, and commands that start with a slash.

Files:

commands        The commands of a conversation: their names, arguments and actions
completion      Tab completion: commands, and the arguments of a command
dialogue        The state of a conversation: model, sampling, system message and turns
exported        A conversation written out with all that is remembered of it, in the form that the library goes on
                with
line_source     Sources of questions: an editor on a terminal, or plain lines of a pipe or file
log_keeper      Logs a conversation as it proceeds
quiet_terminal  Switches the terminal's echo off while an answer is shown: typed text is kept, but not mixed into the
                answer
sampling        The settings of `/set`: the sampling fields of a request, with the names and limits of the HTTP API
talk            Holds a conversation: reads entry after entry until the input ends or the user leaves
talk_memory     The memory of a conversation on the terminal: what is sent of it once it is too long for the model's
                context
transcript      A conversation as a file: JSON that is also a body for ``POST /v1/chat/completions``
"""
