"""Placement: which replica a call goes to.

Files:

known_replicas   What this process knows of the replicas, between Ray Serve's request router and the rest: which there
                 are, and what each one holds
prompt_prefixes  Names (hashes) of a prompt's beginnings, by which the replica that has computed one of them is found
                 again
request_router   The request router of the model deployment: a request goes where its adapters and its prompt's
                 beginning are
rule             The placement rule: which replica a request goes to
"""
