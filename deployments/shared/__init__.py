"""What several processes know: the records between them, the catalogue, callers, errors. Imports no other room.

Files:

catalogue        The catalogue of adapters, as everybody but the store sees it: immutable, versioned, searchable by
                 name
errors           The errors of this half of the house, and whatever Ray or the disk raised as one of the project's
gc_tuning        Python's garbage collector in processes that live long and answer many small requests
living_replicas  Which replicas live, as Ray's control service has it: it learns of a process that ends in some
                 milliseconds
loopback         On a machine of its own, Ray Serve's replicas listen on loopback like all the rest of Ray does there
model_ids        Words that the ``model`` field and the counters have beside adapters' names
own_thread       Slow work in a thread of its own
principals       Who calls: API keys, tenants and scopes
request_id       The id that a caller may give a request, as it goes into logs and traces
residency_facts  What a replica publishes about its adapters, and when: which are on its device and which only on its
                 disk
wire             What ingress, replicas and store say to each other
"""
