"""The adapter packages of one replica: fetched, verified, held, given up.

Files:

bundle_copies     The replica's own copies of bundles on its disk: verified when they come, and again whenever they
                  are read
circuit_breakers  Circuit breakers, one per bundle: a bundle that keeps failing is refused at once, and tried again
                  after a backoff
compositions      The compositions that a replica holds: verified manifests, and what each comes to with the adapters
                  beside them
draining          Bundles that a replica lets go: refused to new requests, kept for those that run on them, then
                  deleted
holdings          The bundles that a replica holds: fetched from the store, verified here, and handed to the engine's
                  loader
offers            This replica's verdicts on the bundles of staged entries (offers)
source            Fetches bundles from the store, or from the shared directory where the store cannot deliver
tasks             Loads each bundle in a task of its own, so that a slow or failing one delays no other
users             The running requests of each bundle, so that a revocation reaches them
"""
