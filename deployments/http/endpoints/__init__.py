"""The endpoints, one file for each noun.

Files:

adapters       ``/v1/adapters``, ``/v1/models`` and ``/v1/confidence``: list and publish adapters, and what is
               calibrated
batches        ``/v1/batches``: files of requests, answered in the server's own time
begin          A generation request accepted and begun, as every endpoint that generates does it: caller, deadline,
               who answers
conversations  ``/v1/conversations``: OpenAI's Conversations API: what was said, kept under one id for `/v1/responses`
file_form      Reads a form with one file (multipart/form-data) and sends the file on to the store of objects while it
               arrives
files          ``/v1/files``: files that a tenant uploads for batches, and those that batches write
generation     ``/v1/chat/completions`` and ``/v1/completions``: one request generated, streamed or whole
loading        ``/v1/load_lora_adapter`` and its opposite, vLLM's; without the prefix they are SGLang's, and answer as
               its own
messages       ``/v1/messages``: Anthropic's Messages API, over the same generation as chat
paging         Lists of objects in pages, as OpenAI has them: ``after``, ``limit`` and ``order``
responses      ``/v1/responses``: OpenAI's Responses API, over the same generation as chat, and the responses that are
               stored
revocations    ``/v1/revocations``: the signed list in force, and the next one
router         ``/v1/route``, ``/v1/feedback…`` and ``/v1/embeddings``: direct access to the router
status         ``/health``, ``/ping``, ``/version`` and ``/metrics``: for load balancers and monitoring
tokens         ``/tokenize`` and ``/detokenize``: prompts told in tokens, and tokens told as text
"""
