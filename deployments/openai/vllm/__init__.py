"""What vLLM's server takes and gives beyond OpenAI's documents; SGLang's clients send much of it too.

Files:

adapter_bodies   The bodies with which adapters are loaded, shared and unloaded: vLLM's fields, which SGLang's clients
                 send too
token_bodies     The bodies of ``/tokenize`` and ``/detokenize``: vLLM's, and the lists of SGLang's
token_documents  The answer of ``/tokenize``: many tokens are written in parts, so that no stream waits for them
"""
