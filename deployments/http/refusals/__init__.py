"""What other servers have and this one does not: fields and endpoints, each with the reason.

Files:

endpoints  Endpoints that other servers have and this one does not, with the reason: errors and the docs say it
fields     Why a field that OpenAI's or vLLM's clients have is not supported, by its name: errors and the docs say it
"""
