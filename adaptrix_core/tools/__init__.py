"""Tools: functions of the caller's that a model may call, how it is told of them, and how its calls are read.

Files:

call_form       Call forms: how a call of a function is written in the text of an answer, by the model's chat template
call_reader     Reads calls out of an answer's text as it grows: text before them, names, and arguments piece by piece
stated_prompt   Messages with functions, calls and results as plain messages, for chat templates that know none of
                these
template_input  What a chat template is given: messages in its own terms, and the functions where it knows them
toolset         The functions that a model may call in one answer, and how free it is to call them
"""
