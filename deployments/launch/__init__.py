"""Starting the system: checks before it, processes and their environment, scaling.

Files:

autoscaling    The number of model replicas that the backlog of tokens calls for
environment    Environment variables for every node's processes: Ray Serve's own settings, with the values that
               Adaptrix needs
local          `make serve`: a local Ray cluster with everything of serve_config.yaml on it, until Ctrl-C
preflight      Checks a deployment before Ray starts, which takes half a minute and reports failures poorly
quiet          Suppresses the output of a library that shuts down, from any thread or native code
reserved_cpus  CPUs that are reserved for the processes beside the model replicas
"""
