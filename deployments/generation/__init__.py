"""One request from names to a stream of pieces. Knows no HTTP and no Ray.

Files:

ask_another         A call that one replica cannot take now goes to another one, a few times; only then its client is
                    told
continue_elsewhere  A stream outlives its replica: what a lost one had begun, another one goes on with, and the client
                    sees no seam
deadline            The deadline that a client sets with ``x-request-timeout-seconds``, as the ingress keeps it
generation          One generation request, from its body to a stream of pieces: who answers is resolved once, then
                    replicas do the work
merge_streams       Several streams of pieces become one, for a request with several prompts
model_names         What the ``model`` field and the ``adaptrix`` field of a request ask for
overload_memory     What all replicas have just refused is refused without asking them again, until something can have
                    changed
row_ends            How a row may end, and which ends are errors of the whole request
"""
