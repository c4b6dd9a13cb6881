"""OpenAI's Responses API as a translation: its bodies into chat requests, the pieces of answers into its documents.

Files:

answer               A response as it is made from pieces: its document, and its typed events, numbered in order
conversation_bodies  The bodies of ``/v1/conversations``: OpenAI's fields
conversations        Conversations of one tenant: items that are kept under one id, added to by answers and by their
                     owner
items                The items of a conversation as OpenAI's Responses API takes them: messages, calls, and references
                     to earlier ones
output               The output items of a response while they are generated, and the typed events that tell of each
                     change
remembering          The memory of a conversation that is too long for the context: which of its turns the replica is
                     sent
request              The body of ``POST /v1/responses``: OpenAI's fields, then those of vLLM and this server that chat
                     has too
stored               Stored responses of one tenant: kept, found again, and gone on from
tools                The functions of a response as OpenAI's Responses API describes them, and the chat's words for
                     them
translation          From a request for a response to the chat request that is generated: OpenAI's two APIs say the
                     same in other words
"""
