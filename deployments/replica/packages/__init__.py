"""The adapter packages of one replica: fetched, verified, held, given up.

Files:

circuit_breakers  Circuit breakers, one per bundle: what keeps failing is left alone for a while, and said to be
                  unavailable at once
holdings          What a replica holds: bundles fetched from the store, verified here, and handed to the engine's
                  loader
offers            What this replica found of the bundles that staged entries offer
source            Where a replica gets bundles: from the store, and from the shared directory where the store cannot
                  deliver
tasks             Bundles on their way into a replica: each in a task of its own, so that one that is slow or fails
                  delays no other
users             Which running requests use which bundle, so that a revocation reaches them
"""
