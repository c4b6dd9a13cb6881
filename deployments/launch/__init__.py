"""Starting the system: checks before it, processes and their environment, scaling.

Files:

autoscaling    How many replicas of the model there should be: as many as the backlog of tokens asks for
environment    What Adaptrix sets of Ray Serve's own settings, in the environment of every node's processes
local          `make serve`: a local Ray cluster with everything of serve_config.yaml on it, until Ctrl-C
preflight      What can be known of a deployment before Ray starts, which takes half a minute and says little of what
               went wrong
quiet          Silence for what a library says on its way out, from whatever thread or native code
reserved_cpus  The cores that are reserved for what stands beside the model replicas
"""
