"""The store of adapter packages: an actor, its disk, and how others reach it.

Files:

actor               The adapter store: one named, detached actor that owns the catalogue and hands out package files
adapter_usage       Which adapters were used most lately, over all replicas: what a new replica should have ready
catalogue_follower  Keeps a process up to date with the store's catalogue, through restarts of the store
disk                The adapter store's disk: shipped adapters (only read) and those loaded at run time (kept across
                    restarts)
fingerprint         Whether a running store is the one that was asked for
handle              Finding the adapter store's actor, or making it: any process may, at any time
index               The store's index on disk: which adapters were loaded at run time, and which shipped ones were
                    unloaded
name_book           What the store remembers of names, for good: who signed each first, which version was its newest,
                    who signed what
package_cache       Packages that many replicas ask for at once: each is read once (single-flight), and those asked
                    for last are kept
package_files       A package as the store sees it: files read from somewhere, and the catalogue entry they make
replica_reports     Which replicas live, what they last said, and waiting until they have all said something
revocation_list     The store's copy of the revocation list: kept on disk, replaced by later ones only, shown to
                    whoever asks
shipped             The shipped adapters: one directory per adapter under a local directory or an fsspec URL, only
                    ever read
standing            Which entries of the catalogue count, and what a new one may not do: pure decisions over names,
                    signers and versions
warmest             Where in the cluster each adapter is cheapest to load
"""
