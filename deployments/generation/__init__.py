"""One request from names to a stream of pieces. Knows no HTTP and no Ray.

Files:

ask_another         Step 2 of the pipeline: a call that one replica refuses goes to another, a few times, before its
                    client gets the error
call_stream         The pieces of one call, whichever replicas compute them: the one loop that reads a replica's
                    stream
composed_call       The calls of one prompt that a composition answers: one for each step, made once those before it
                    have answered
composed_stream     The pieces of a prompt that a composition answers: steps one after another, votes once they are
                    decided
continue_elsewhere  Step 3 of the pipeline: another replica continues a call whose replica was lost, without a seam
                    for the client
deadline            Step 5 of the pipeline: the deadline that a client sets with ``x-request-timeout-seconds``,
                    enforced in the ingress
merge_streams       Step 4 of the pipeline: merges the streams of a request with several prompts into one
model_names         Reads the ``model`` and ``adaptrix`` fields of a request into a choice of mixes
pipeline            The path of a token through the ingress: its steps in order, and its one end
ports               The ports of generation to other processes: model replicas, their tokenizer, router, and the
                    streams that come back
resolve             Resolves who answers a request: once, in the ingress, so that any replica can serve it
route_prompts       Asks the router who answers each prompt of a request to ``auto``; where it cannot say, the base
                    model may answer
row_ends            The ways in which a row ends, and which of them are errors of the whole request
start               Starts a generation request: makes its calls, one for each prompt, and opens the stream that comes
                    back
until_sure          Holds an answer back until one is sure enough: others are tried in turns, or the answer is that
                    there is none
"""
