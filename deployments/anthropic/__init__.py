"""Anthropic's Messages API as a translation: its bodies into chat requests, the pieces of answers into its documents.

Files:

answer   An answer in Anthropic's documents, as it is made from pieces: the message, and its typed events in order
blocks   The content blocks of Anthropic's messages, as clients send them
content  The content blocks of an answer while it is generated, and the typed events that tell of each change
errors   Errors in Anthropic's form
request  The bodies of ``POST /v1/messages`` and of its counting of tokens, and the chat request that says the same
tools    The functions of Anthropic's messages, and the chat's words for them
"""
