"""The deployment that generates: the base model, its engine, and the adapters that it holds.

Files:

at_the_cut           The trunk's probes in one replica, and how its deferred calls are settled by them
                     (`settlement.py`)
call_grammars        The sampling arguments of a call: the form of its text, and its calls of functions, as a grammar
cpu_threads          The number of CPU threads that a replica computes with
deployment           The replica deployment: one `EngineWorker`, kept in step with the store, reporting about once a
                     second
pieces               Converts token events of the engine to pieces, the records that go to the ingress
prompt_encoding      Encodes prompts to token ids: short ones at once, long ones in other threads, none that is far
                     beyond the context
revocation_follower  Keeps a replica's revocation list in force and its lease renewed
scratch_directory    A replica's own directory of unpacked packages: deleted with the replica, or by a later one if it
                     was killed
settlement           One deferred call's way to its mix: what the router says, and what the trunk makes of the
                     question
token_pacing         The time for which a replica gathers (coalesces) a stream's tokens into one message
token_text           The text and bytes of single tokens, as clients see them beside log-probabilities
tokenization         Prompts told in tokens, and tokens told as text, without an answer: short ones at once, long ones
                     in other threads
trace_spans          The spans of one call in a replica: pinning its adapters, and each row's way through the engine
watchdog             Ends a replica's process once its engine hangs for good
worker               The engine side of a replica: an engine on its own thread and the packages it holds, without Ray
packages/            The adapter packages of one replica: fetched, verified, held, given up
questions/           Questions that decide by themselves who begins their answer: read at the cut of one replica,
                     without a router
"""
