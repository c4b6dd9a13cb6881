"""The store of adapter packages: an actor, its disk, and how others reach it.

Files:

actor               The adapter store: one named, detached actor that owns the catalogue and hands out package files
adapter_usage       Recent use of adapters, over all replicas: the most used ones are loaded by a new replica ahead
catalogue_follower  Keeps a process up to date with the store's catalogue, through restarts of the store
disk                The adapter store's disk: shipped adapters (only read) and those loaded at run time (kept across
                    restarts)
fingerprint         The fingerprint by which a running store is recognised as the requested one
handle              Finds the adapter store's actor, or makes it: from any process, at any time
index               The store's index on disk: the adapters loaded at run time, and the shipped ones that were
                    unloaded
name_book           The store's permanent record of names: first signer and newest version of each, and the signers of
                    all bundles
package_cache       Reads each package once for many replicas that ask at the same time (single-flight), and keeps
                    recent ones (LRU)
package_files       A package as the store sees it: its files, unverified, and the catalogue entry that describes them
permitted_parts     Parts of compositions that their tenant may use: public ones, its own, and those that others share
                    with it
replica_reports     The live replicas' last reports, and waiting until all of them have reported something
residency_follower  Keeps a process up to date with the residency of adapters in the whole cluster: cheap, and a
                    second or two old
shipped             The shipped adapters: one directory per adapter under a local directory or an fsspec URL, only
                    ever read
standing            Decides which entries of the catalogue count, and which new ones are conflicts: pure, over names,
                    signers, versions
"""
