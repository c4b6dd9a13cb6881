"""What benchmarks share: systems under comparison, work, turns, intervals, reports.

Files:

engines     The engine as a system under comparison: without adapters, with them in the middle or on a band, and its
            limit
interleave  Runs what is compared in turns, so that a noisy machine disturbs all of it alike
intervals   Medians with 95 % intervals, of times and of ratios between two systems that were timed in turns
kept        Numbers that were measured before, by their keys, so that a benchmark that was cut off goes on where it
            was
peers       The systems that the engine is compared with, each over the same weights, and each without a prefix cache
report      What every benchmark has in common: its options, its tables, what its figures depend on, and its last line
step_cost   What it adds to a step that some rows ask for more: equal batches in turns, with and without, the fastest
            of a few
streams     A light HTTP client for streamed answers: when each event with a token came, at little cost to the machine
            measured
trace       S-LoRA's request generator (Sheng et al., arXiv:2311.03285; `benchmarks/harness/trace.py` of its
            repository), seed 42
trunk_vote  Waits until the trunk of a served system has a vote: its probes are fitted in the background after a start
workers     One process per system under comparison, told over a pipe what to run
workload    The work that every system is given: distinct prompts of equal length, and random adapters on a few layers
"""
