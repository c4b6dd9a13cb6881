"""The deployment that generates: the base model, its engine, and the adapters that it holds.

Files:

cpu_threads          How many CPU threads a replica computes with
deployment           The replica deployment: one `EngineWorker`, kept in step with the store, reporting about once a
                     second
pieces               Token events of the engine become pieces, as they go over the wire to the ingress
prompt_encoding      Prompts become token ids: short ones at once, long ones in threads of their own, and none far
                     beyond the context
revocation_follower  Keeps a replica's revocation list in force and its lease renewed
scratch_directory    A replica's own directory of unpacked packages: deleted with the replica, or by a later one if it
                     was killed
token_pacing         How long a replica gathers a stream's tokens before it sends them on
token_text           What clients are shown of a token: a text of its own, and its bytes
trace_spans          The spans of one call in a replica: pinning its adapters, and each row's way through the engine
watchdog             Ends a replica's process once its engine is beyond help
worker               The engine side of a replica: an engine on its own thread and the packages it holds, without Ray
packages/            The adapter packages of one replica: fetched, verified, held, given up
"""
