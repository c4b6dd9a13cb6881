"""The deployment that takes HTTP requests and has the others behind it.

Files:

announcement    One line that says where the service is, once it answers: what `serve run` shows
deployment      The ingress deployment: the HTTP API of `http/app.py`, with Ray handles behind it
handles         Ray's handles behind the ports of the HTTP layer: replicas, router and store, their failures as our
                errors
scaled_to_zero  Whether the model is scaled to zero: it was deployed, needs no replica now, and gets one with the next
                request
"""
