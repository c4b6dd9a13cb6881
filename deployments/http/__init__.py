"""The HTTP API: bodies in, answers out, and the callers' permissions.

Files:

adapter_admin  Loads, publishes and unloads adapters at run time: the places they may come from, and the errors for
               users
app            The HTTP API: OpenAI's endpoints, vLLM's adapter endpoints, and ours
at_hand        What this process has at hand for a request: calibrations and measured mixes, looked for again beside
               the event loop, and how far feedback moves what a tenant asks of confidence
bodies         Request bodies: bytes into a checked document, or an error that names the fault and its place
endpoint       Shared by endpoints: authorisation, and reading of bodies and of the store's overview
errors         The one place where errors become HTTP: status, headers and OpenAI's ``{"error": {…}}`` document, or
               Anthropic's on its paths
faults         Pydantic's faults of a body in a short message: the first ones, with their values shortened
guard          The first check of every HTTP request: refuses control headers from outside, and callers that may not
               call at all
json_body      Parses JSON at a bounded cost, whatever the sender makes of it
listings       The server's listings: models, adapters, readiness
pages          Opens the API to the scripts of web pages elsewhere (CORS), where the settings name their origins
services       The services behind the HTTP endpoints: pipeline, tokenizer, router, stores, key ring, metrics
sse            Server-sent events: documents become `data:` lines, the first one at once, and an error becomes one
               last event
tar_upload     Reads an uploaded archive into the files of one adapter, or refuses it; writes nothing under names from
               the archive
typed_answers  Answers whose parts have types: OpenAI's Responses and Anthropic's messages, whole or as a stream of
               named events
description/   The API described by itself: `/openapi.json` and `/docs`
endpoints/     The endpoints, one file for each noun
keys/          The keys of a tenant, for who owns it: bodies, answers and endpoints
observe/       Observation of requests: metrics and the request log
refusals/      What other servers have and this one does not: fields and endpoints, each with the reason
usage/         Usage over HTTP: figures of the caller's requests, or of everybody's for operators
"""
