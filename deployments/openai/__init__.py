"""OpenAI's documents as models and records. Knows no HTTP.

Files:

body                The base of all request bodies: null means the default, and known fields that ask for nothing are
                    dropped
call_documents      Calls of functions in an answer: read from its pieces, and OpenAI's documents of them, in streams
                    and whole
confidence_body     What a body asks of confidence: the least that an answer must have, and what is done with a less
                    sure one
documents           Builds OpenAI's response documents from pieces: chat or text completions, whole or as chunks of a
                    stream
embedding_document  The answer of ``/v1/embeddings``: thousands of vectors are written in parts, so that no stream
                    waits for them
field_types         The types of the fields in request bodies: forms, lengths and ranges
formed_body         The fields by which clients say what the text of an answer must look like: OpenAI's, vLLM's and
                    SGLang's
logprob_documents   Log-probabilities of tokens in the forms of OpenAI's chat and text answers
messages            Chat messages as clients send them, with the calls of functions in them and their results
neutral_fields      Fields that OpenAI's and vLLM's clients send and that do nothing here, with the values that ask
                    for nothing
prompt_documents    What answers tell of the prompt: its text and log-probabilities before those of the answer
                    (``echo``), or apart
row_judge           How sure each row of an answer is, gathered from its pieces: scores, confidence, and numbers token
                    by token
sampled_body        The fields by which clients say how tokens are chosen, and where an answer ends
schemas             The bodies that the HTTP API accepts, and nothing else: an unknown or unsupported field is refused
                    by name
tool_body           The fields by which clients describe functions, and say whether the answer may, must or may not
                    call them
batches/            What is sent for a batch, in OpenAI's form
vllm/               What vLLM's server takes and gives beyond OpenAI's documents; SGLang's clients send much of it too
"""
