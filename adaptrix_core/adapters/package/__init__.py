"""The adapter directory (package): its format, its metadata, and every check before a tensor is used.

Files:

about               A package's own description, for people who choose between adapters: layers, rank, size, licence,
                    quality
atomic              Replaces a directory in one step: a crash at any moment leaves the old contents or the new ones,
                    never a mixture
composition         A composition's directory, written and read: a metadata.json that says how its parts work
                    together, and a signature
contents            Reads an adapter directory and its metadata before any tensor is made: nothing here needs torch
file_names          The names of an adapter directory's files, of our own format and of PEFT's
file_rules          Which files of a directory belong into its snapshot, how much of each, and how they are read under
                    these rules
fit                 Checks that an adapter fits a base model: compares metadata and tensor headers with the base's
                    points
format              An adapter directory, written and read: metadata.json, one layer_N.safetensors per adapted layer,
                    signature.json
limits              Upper bounds on a package's size, checked on sizes and headers, so that a hostile file costs
                    little to refuse
magnitudes          Checks that weights can be computed with: a stored dtype, finite, and finite once scaled and
                    multiplied
manifest            The schema of a composition's metadata.json, its manifest: how adapters work together, and which
                    ones, by digest
metadata            The schema of an adapter's metadata.json, and of what a composition's has in common with it
                    (`manifest.py`)
safetensors_header  Reads the header of a safetensors file, and refuses everything that adapters do not need of the
                    format
snapshot            The bytes of an adapter's files at one moment, so that all later steps work on the same bytes
validation          Checks an adapter without loading it, and reports every fault instead of the first
"""
