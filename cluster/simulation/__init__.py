"""Scaling experiments: a simulator of many replicas, and the sweeps that compare routing policies.

Files:

calibrate      Measure what the simulator needs to know about an engine: step times, and how long an adapter takes to
               load
cases          Which cases a sweep runs: one axis at a time around a centre, or every combination
engine_model   What a replica's engine costs in time, as a handful of numbers: the simulator's only knowledge of the
               real engine
plots          Sweeps as pictures: one file per axis, in it throughput, first token, hit rate and SLO attainment by
               policy
policies       Which replica gets a request: the policies that are compared
real           The same experiment on real replicas, and how far the simulator is from it
replica_model  One simulated replica: the engine's batching, step by step, with the clock handed in
residency      A simulated replica's adapters: least recently used out first, pinned while in use, loaded one at a
               time
simulate       A discrete-event simulation of many replicas behind one router: the same workload under each routing
               policy
sweep          Sweep the simulator over replicas, adapters, skew, rate and load time, under every routing policy
"""
