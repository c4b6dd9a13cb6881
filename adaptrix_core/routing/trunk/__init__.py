"""The trunk's opinion: texts read through the base model's trunk, and choices that are settled at the cut.

Files:

cached_means    The means of texts that were read once through a base model's trunk, kept in the cache directory
clear_reading   What the trunk alone decides of a question, where it reads it so clearly that nobody else needs to be
                asked
deferral        A choice of adapters that is left to a replica, on its way there and back
questions       What a question is about, by the base model's own reading of it alone: compositions begin by that
                (``about``)
reading         Runs texts through the trunk of an engine for the means of their states at the cut, behind every
                request
route_answer    The router's answer in plain data, for other processes: what it says, and what it leaves to the
                replicas
settlement      Settles at the cut what the router has left open: its opinions so far, and the base model's own, added
                up
without_router  The choice that is left open where the router cannot be asked: the base model's own reading alone
                decides
"""
