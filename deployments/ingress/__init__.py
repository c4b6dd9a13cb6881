"""The deployment that takes HTTP requests, in front of all others.

Files:

announcement    Logs the service's URL once it answers, as `serve run` shows it; `make serve` prints its own line
connections     What a process that serves the HTTP API needs of the others, kept up to date: the services behind the
                endpoints
deployment      The ingress deployment: the HTTP API of `http/app.py`, with Ray handles behind it
handles         Implements the ports of generation and HTTP by Ray's handles: replicas, their tokenizer, and stores
scaled_to_zero  Whether the model is scaled to zero: it was deployed, needs no replica now, and gets one with the next
                request
"""
