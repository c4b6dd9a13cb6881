"""One request from names to a stream of pieces. Knows no HTTP and no Ray.

Files:

ask_another         Step 2 of the pipeline: a call that one replica refuses goes to another, a few times; only then
                    its client is told
call_stream         The pieces of one call, whichever replicas compute them: the one loop that reads a replica's
                    stream
continue_elsewhere  Step 3 of the pipeline: what a lost replica had begun, another one goes on with, and the client
                    sees no seam
deadline            Step 5 of the pipeline: the deadline that a client sets with ``x-request-timeout-seconds``, as the
                    ingress keeps it
merge_streams       Step 4 of the pipeline: several streams of pieces become one, for a request with several prompts
model_names         What the ``model`` field and the ``adaptrix`` field of a request ask for
overload_memory     What all replicas have just refused is refused without asking them again, until something can have
                    changed
pipeline            The path of a token through the ingress: its steps in order, and its one end
ports               How generation reaches other processes: the model replicas, the router, and the streams that come
                    back
resolve             Who answers a request: found once, in the ingress, so that any replica could serve it
row_ends            How a row may end, and which ends are errors of the whole request
start               One generation request is handed to replicas: its calls, one for each prompt, and the stream that
                    comes back
"""
