"""The API described by itself: `/openapi.json` and `/docs`.

Files:

answers        The answers of the endpoints, for the OpenAPI document
document       The API described by itself: `/openapi.json` from the models that validate, and `/docs`, a page made of
               it
endpoints      Describes what each endpoint takes, gives and refuses, for OpenAPI: keyword arguments of its decorator
token_answers  The answers of ``/tokenize`` and ``/detokenize``, for the OpenAPI document
"""
