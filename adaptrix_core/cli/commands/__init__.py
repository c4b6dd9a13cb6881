"""Commands that ask, serve and administer: a running server, or a local engine.

Files:

adapters    `load`, `unload`, `list` and `active`: the adapters of a running server or a local engine
batch       A file of prompts in, JSON lines of answers out, in order; one failure does not stop the others
benchmark   `benchmark`: how fast a running server or a local engine answers, from where you are
completion  `completion`: the script that teaches a shell to complete this command
embedding   `embed`: texts to vectors, by the model that the router decides with
publishing  `publish`: send an adapter directory to a running server, which need not see this machine's disk
query       `query`: ask once, ask a file of prompts, or hold a conversation
revocation  `revoke`: take an adapter out of service on every replica, by a signed list
routing     `route`: which adapter would answer, and why, without generating
serve       `serve`: the whole system on one machine, until Ctrl-C
show        `show`: everything that is known of one adapter
status      `status`: is it up, what does it serve, which adapters are where, and above which layer they may differ
trust       `sign`, `verify` and `trust`: who vouches for an adapter directory, whether you believe them, whose a name
            is
"""
