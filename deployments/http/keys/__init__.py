"""The keys of a tenant, for who owns it: bodies, answers and endpoints.

Files:

description  Describes the endpoints of a tenant's keys
documents    What is sent and answered about keys
endpoints    ``/v1/keys``: a tenant's keys, made, listed, changed, rotated and deleted by who owns it
tenant_keys  What a tenant may do with its own keys, whoever of it asks: never more than that one may do itself
"""
