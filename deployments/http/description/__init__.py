"""The API described by itself: `/openapi.json` and `/docs`.

Files:

adapter_endpoints       Describes the endpoints that list, load, publish, unload and revoke adapters
answers                 The answers of the endpoints, for the OpenAPI document
conversation_answers    The answers of ``/v1/conversations``, for the OpenAPI document
conversation_endpoints  Describes the endpoints of conversations for OpenAPI: keyword arguments of their decorators
described               What one endpoint takes, gives and refuses, as keyword arguments of its decorator; the
                        document is made of them
document                The API described by itself: `/openapi.json` from the models that validate, and `/docs`, a
                        page made of it
endpoints               Describes what each endpoint takes, gives and refuses, for OpenAPI: keyword arguments of its
                        decorator
generated_answers       The answers of the endpoints that generate, whole and as events of a stream
loading_answers         The answers of SGLang's loading endpoints, for the OpenAPI document
message_answers         The answers of ``/v1/messages``, for the OpenAPI document
response_answers        The answers of ``/v1/responses``, for the OpenAPI document
stored_answers          The answers of the endpoints of files and batches, for the OpenAPI document (`answers.py` has
                        the others)
token_answers           The answers of ``/tokenize`` and ``/detokenize``, for the OpenAPI document
"""
