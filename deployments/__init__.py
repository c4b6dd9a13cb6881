"""Adaptrix on Ray Serve: ingress, router, model replicas and the adapter store. Thin: no model maths here.

Files:

app             The Serve application's builder, import path ``deployments.app:build``
detached_actor  Finds a named actor that outlives whoever made it, or makes it: from any process, at any time
ray_seam        Every private or unstable name of Ray that this project uses, behind a function with a documented
                purpose
anthropic/      Anthropic's Messages API as a translation: its bodies into chat requests, the pieces of answers into
                its documents
audit/          The audit log of a running server: one process writes it for all, each of the others has a trail of
                its own
background/     The deployment beside the requests, which works on what tenants have left with the server
batches/        Batches: files of requests that are answered in the server's own time, behind everybody who waits
callers/        Who calls: keys, tenants and what a key may do
generation/     One request from names to a stream of pieces
http/           The HTTP API: bodies in, answers out, and the callers' permissions
ingress/        The deployment that takes HTTP requests, in front of all others
launch/         Starting the system: checks before it, processes and their environment, scaling
objects/        The store of objects that belong to tenants: kept on disk, found by their owner only, held to quotas
openai/         OpenAI's documents as models and records
placement/      Placement: which replica a call goes to
proxy/          Middlewares that run inside Ray Serve's HTTP proxy
replica/        The deployment that generates: the base model, its engine, and the adapters that it holds
responses/      OpenAI's Responses API as a translation: its bodies into chat requests, the pieces of answers into its
                documents
router/         The deployment that picks adapters by meaning
shared/         Shared by several processes: the records between them, the catalogue, callers, errors
store/          The store of adapter packages: an actor, its disk, and how others reach it
tracking/       The tracker of a cluster: one process with its file, what every ingress sends it, and what it is asked
"""
