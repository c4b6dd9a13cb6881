"""Compositions as packages: what a manifest comes to, down to adapters, and its parts held to their digests.

Files:

checking     Checks the parts of a composition against a catalogue, and reports every fault of every part instead of
             the first
expansion    What a composition's manifest comes to in adapters, whatever is nested in it
loaded       The compositions of one engine, by name: loaded, verified, and their parts held to what was signed
making       Makes a composition's manifest from adapters of a catalogue
signed_step  One step of a composition with a name, as whoever asks for it knows it, and the form in which manifests
             are compared
"""
