"""The adapter directory: its format, what it says of itself, and every check before a tensor is used.

Files:

about               What a package says about itself, for people who choose between adapters: layers, rank, size,
                    licence, quality
atomic              Replaces a directory in one step: a crash at any moment leaves the old contents or the new ones,
                    never a mixture
contents            What an adapter directory holds and says of itself, before any tensor is made: nothing here needs
                    torch
file_names          Which files an adapter directory has
fit                 Does this adapter fit this base model? Compares announcements (metadata, tensor headers) with the
                    base's points
format              An adapter directory, written and read: metadata.json, one layer_N.safetensors per adapted layer,
                    signature.json
limits              How large an adapter may be
magnitudes          Whether weights can be computed with at all: a stored dtype, finite, and finite once scaled and
                    multiplied
metadata            The schema of an adapter's metadata.json
safetensors_header  Reads the header of a safetensors file and refuses everything that the format allows but we do not
                    need
snapshot            Reads a directory into memory, once, so that everything after works on the same bytes
validation          Checks an adapter without loading it into anything, and reports all that it finds instead of the
                    first fault
"""
