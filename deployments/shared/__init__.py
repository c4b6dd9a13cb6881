"""Shared by several processes: the records between them, the catalogue, callers, errors. Imports no other folder.

Files:

catalogue        The catalogue of adapters, in all processes but the store: immutable, versioned, and seen by each
                 tenant in a view
entry            An entry of the catalogue, and what is asked for with it: whose it is, and how it is called by whom
errors           Errors that only the server has, and the conversion of Ray's and the disk's errors to the project's
follower         One loop that follows something in the background: asks, waits, asks again, until it is stopped
gc_tuning        Garbage collector settings for processes that live long and answer many small requests
living_replicas  The replicas that live, by Ray's control service, which learns within milliseconds that a process has
                 ended
loopback         Keeps Ray Serve's replicas on loopback where all the rest of Ray listens there, as on a single
                 machine
model_ids        Public names: the base model's id, and labels for requests that several adapters answer
overload_memory  Remembers overload: the answer to a request that was refused for it is given to others of its kind,
                 for a while
own_thread       Runs slow work in a thread of its own
request_id       The id that a caller may give a request, cleaned for logs and traces
residency        Residency in the whole cluster: the adapters that each replica has in memory, on its device or in
                 host memory
single_flight    Single-flight: several callers that want the same thing at the same time share one piece of work
token_calls      The records by which the ingress asks a replica for tokens without an answer: text into tokens, back,
                 and counts
wire             The records that ingress, replicas and store exchange
"""
