"""Which replica a call goes to.

Files:

known_replicas   Which replicas a call may go to after some have just refused it (see `generation/ask_another.py`)
prompt_prefixes  Names for the beginnings of a prompt, so that who has computed one of them can be found again
request_router   The request router of the model deployment: a request goes where its adapters are, and what it goes
                 on from
rule             Which replica a request goes to
"""
