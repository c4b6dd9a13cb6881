"""The endpoints, one file for each noun.

Files:

adapters     ``/v1/adapters``, ``/v1/models`` and vLLM's loading endpoints: list, load, publish and unload adapters
begin        A generation request accepted and begun, as every endpoint that generates does it: caller, deadline, who
             answers
generation   ``/v1/chat/completions`` and ``/v1/completions``: one request generated, streamed or whole
revocations  ``/v1/revocations``: the signed list in force, and the next one
router       ``/v1/route`` and ``/v1/embeddings``: direct access to the router
status       ``/health``, ``/ping``, ``/version`` and ``/metrics``: for load balancers and monitoring
tokens       ``/tokenize`` and ``/detokenize``: prompts told in tokens, and tokens told as text
"""
