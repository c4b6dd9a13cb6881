"""Conflicts between adapters that are mixed: by their weights, by what they still answer, and what is done about it.

Files:

behaviour        What a mix does to the answers of its adapters: the records, how they are keyed and kept, and one
                 score for a mix
merging          Merged adapters: several updates made into one, by TIES (arXiv:2306.01708), DARE (arXiv:2311.03099)
                 or as a sum
weight_conflict  How alike and how contrary the weights of two adapters are, from their factors: no whole update
                 matrix is made
"""
