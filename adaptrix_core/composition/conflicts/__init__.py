"""Conflicts between adapters that are mixed: by their weights, by what they still answer, and what is done about it.

Files:

behaviour        What a mix does to the answers of its adapters: the records, how they are keyed and kept, and one
                 score for a mix
expected_loss    How much of its right answers an adapter is expected to lose in a mix, by how far the mix's update is
                 from its own
guard            What is done with a mix that a request asks for and that was measured to spoil its adapters' answers
measured_mix     The measurement of one mix, as it is signed: what it does to its adapters' answers, on which base, in
                 which layout
merging          Merged adapters: several updates made into one, by TIES (arXiv:2306.01708), DARE (arXiv:2311.03099)
                 or as a sum
shelf            The measured mixes that are at hand: read and verified once, found by the packages of a mix and their
                 weights
signed_mix       Signed files of measured mixes: a directory with `conflict.json` and the signature over it
weight_conflict  How alike and how contrary the weights of two adapters are, from their factors: no whole update
                 matrix is made
"""
