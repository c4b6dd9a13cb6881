"""The HTTP API: bodies in, answers out, and who may ask.

Files:

adapter_admin  Loading and unloading adapters at run time: where they may come from, and what is said when it went
               wrong
app            The HTTP API: OpenAI's endpoints, vLLM's adapter endpoints, and ours
bodies         Request bodies: bytes into a checked document, with an error that says what is wrong and where
endpoint       What endpoints have in common: who may call them, and what they read of a request or of the store
errors         The one place where errors become HTTP: status, headers and OpenAI's ``{"error": {…}}`` document
faults         What pydantic found wrong with a body, told in few words: the first faults, their values shortened
guard          What every HTTP request passes first: headers that only our own parts may send, and callers that may
               not call at all
json_body      Bytes become a JSON document, at a cost that their sender cannot choose
listings       What the server says about itself: models, adapters and whether it is ready
services       What the HTTP endpoints work with: the catalogue, the way to the replicas, the router, the store, and
               who may call
sse            Server-sent events: documents become `data:` lines, the first one at once, and an error becomes one
               last event
tar_upload     An uploaded archive becomes the files of one adapter, or is refused; nothing is written by the name
               that it gives
description/   The API described by itself: `/openapi.json` and `/docs`
endpoints/     The endpoints, one file for each noun
observe/       What is told of requests: metrics and the request log
"""
