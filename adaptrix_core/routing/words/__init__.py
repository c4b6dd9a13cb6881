"""What words say without any model: tokens, keyword rules, vectors of characters, the parts of a compound question.

Files:

character_vectors  Vectors of texts by their characters, for a router without an embedding model
clauses            Splits a compound question into the parts that may each be for another adapter
keyword_rules      Keyword rules: the words and phrases that speak for an adapter, from the settings, its metadata, or
                   our lists
tokens             Splits a text into the tokens that keywords are looked for in
"""
