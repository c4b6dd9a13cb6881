"""The deployment that takes HTTP requests and has the others behind it.

announcement    One line that says where the service is, once it answers: what `serve run` shows. `make serve` says it
                itself.
deployment      The ingress deployment: the HTTP API of `http/app.py`, with Ray handles behind it.
scaled_to_zero  Whether the model sleeps: it was deployed, needs no replica now, and gets one with the next request.
"""
