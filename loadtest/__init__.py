"""An open-loop load generator over HTTP, its workloads, and what became of each request.

Files:

load             Open-loop load over real HTTP: every request is sent when it is due, whatever became of earlier ones
ports            Ports for servers that a test or a benchmark starts: free now, and still free when the server gets to
                 bind one
random_adapters  Adapters of random weights on three middle layers, written as packages: as many as an experiment
                 needs
records          What became of one request, measured or simulated, and the figures over many: the same sums for both
system           A whole system on this machine, for the time of an experiment: started as `make serve` does
workload         Who asks for which adapter, when, and for how much: the workloads of S-LoRA and Punica, seeded
"""
