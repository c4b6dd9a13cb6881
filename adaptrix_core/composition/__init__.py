"""Composition: how several adapters work together on one answer.

Files:

compose        Turns a request's composition into a mix, by the strategy that it names
parallel       The strategy ``parallel``: all adapters at once, their weighted LoRA terms added up
planner        Divides a question that asks for several things in a row into a plan, by rules of grammar
stated_answer  The answer inside of a reply: what its last "Answer:" line states, which is how the shipped adapters
               end theirs
manifests/     Compositions as packages: what a manifest comes to, down to adapters, and its parts held to their
               digests
planning/      How a question that asks for several things in a row becomes steps, and how answers are passed on
"""
