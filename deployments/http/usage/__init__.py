"""Usage over HTTP: figures of the caller's requests, or of everybody's for operators.

Files:

answers      The answers of the endpoints of usage, for the OpenAPI document
description  Describes the endpoints of usage for OpenAPI: keyword arguments of their decorators
endpoints    ``/v1/usage`` and ``/v1/usage/live``: figures of requests
question     The query parameters of `GET /v1/usage` as a question to the tracker: whose requests, of which time, how
             divided
"""
