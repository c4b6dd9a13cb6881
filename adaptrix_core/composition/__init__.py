"""Composition: how several adapters work together on one answer.

Files:

ballots        A vote on answers: the answer that most of them come to, whatever the working around it
compose        Reads a request's composition into the rows that the engine computes, by the strategies that it names
conditions     Conditions under which a row is computed under another mix: from the start, or from the middle of its
               answer on
gating         Lays a gate on the adapters of a mix, to be made once they are loaded
model_strings  Compositions as the string of a ``model`` field, for clients that can send nothing else; and their
               labels
nesting        What may stand inside of what: one table, which the strategies enforce and `docs/composition.md` shows
parameters     Which parameters of a request a composition can honour; the others are refused by name
parts          What a composition comes to: groups of rows for the engine, and sequences of such groups
questions      The questions of a sequence's steps: checked, and filled in with the answers of the steps before
stated_answer  The answer inside of a reply: what its last "Answer:" line states, which is how the shipped adapters
               end theirs
weights        Reads the weights of parts, and lays a part's weight or layers on the terms of its mix
conflicts/     Conflicts between adapters that are mixed: by their weights, by what they still answer, and what is
               done about it
manifests/     Compositions as packages: what a manifest comes to, down to adapters, and its parts held to their
               digests
planning/      How a question that asks for several things in a row becomes steps, and how answers are passed on
strategies/    The strategies that come with Adaptrix: what a request says of parts, read into rows and steps
"""
