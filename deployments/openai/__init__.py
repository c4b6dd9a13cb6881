"""OpenAI's documents as models and records. Knows no HTTP.

Files:

body                What all request bodies have in common: null is a default, known fields that ask for nothing are
                    left out
documents           Pieces of text become OpenAI's response documents: chat or text completions, whole or as chunks of
                    a stream
embedding_document  The answer of ``/v1/embeddings``: thousands of vectors are written bit by bit, so that no stream
                    waits for them
field_types         The types of the fields in request bodies: forms, lengths and ranges
neutral_fields      Fields that OpenAI's and vLLM's clients send and that do nothing here: which values of them ask
                    for nothing
schemas             The bodies that the HTTP API accepts, and nothing else: an unknown or unsupported field is refused
                    by name
"""
