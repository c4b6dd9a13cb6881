"""Who calls: keys, tenants and what a key may do. Knows no HTTP framework, and no other folder.

Files:

Files:

key_file   The keys file: hashes of keys, never keys, and to whom they belong
key_ring   Recognises callers by their keys
principal  A principal: a caller that was recognised, its tenant, and what it may do
reach      Who can reach the server: a server without keys is for its own machine
scopes     What a key may do: scopes, and roles, which are the sets of scopes that people are given
"""
