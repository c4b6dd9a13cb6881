"""Commands that ask, serve and administer: a running server, or a local engine.

Files:

adapters    `load`, `unload`, `list` and `active`: the adapters of a running server or a local engine
batch       Answers a file of prompts as JSON lines, in order; one failure does not stop the others
benchmark   `benchmark`: how fast a running server or a local engine answers, from where you are
completion  `completion`: the script that teaches a shell to complete this command
embedding   `embed`: texts to vectors, by the model that the router decides with
extensions  `adaptrix extensions`: the parts that Adaptrix and other installed packages have at each extension point
publishing  `publish`: send an adapter directory to a running server, which need not see this machine's disk
query       `query`: ask once, ask a file of prompts, or hold a conversation
revocation  `revoke`: take adapters out of service on every replica, or on this machine, by a signed list
routing     `route`: which adapter would answer, and why, without generating
serve       `serve`: the whole system on one machine, until Ctrl-C
show        `show`: all facts about one adapter, and what is measured of how sure the base model or a mix is
status      `status`: health, models, residency of adapters, and the cut above which their layers may differ
trust       `sign`, `verify` and `trust`: signing adapter directories, checking them, and transferring names
"""
