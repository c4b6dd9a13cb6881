"""The endpoints, one file for each noun.

Files:

adapters     ``/v1/adapters``, ``/v1/models`` and vLLM's loading endpoints: what is served, and what shall be
generation   ``/v1/chat/completions`` and ``/v1/completions``: one request generated, streamed or whole
revocations  ``/v1/revocations``: the signed list in force, and the next one
router       ``/v1/route`` and ``/v1/embeddings``: the router asked directly
status       ``/health`` and ``/metrics``: what load balancers and monitoring ask
"""
