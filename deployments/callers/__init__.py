"""Who calls: keys, tenants and what a key may do. Knows no HTTP framework.

Files:

key_changes       What can be done to the keys of a file: made, rotated, changed
key_file          The keys file: hashes of keys, never keys, and to whom they belong
key_ring          Recognises callers by their keys
keys_follower     Follows the keys file: a change is in force within a second, and ends the requests of keys that
                  stopped working
principal         A principal: a caller that was recognised, its tenant, and what it may do
reach             Who can reach the server: a server without keys is for its own machine
running_requests  The requests that run now, by the key that they came with, so that they end with it
scopes            What a key may do: scopes, and roles, which are the sets of scopes that people are given
"""
