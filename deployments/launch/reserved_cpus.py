"""CPUs that are reserved for the processes beside the model replicas."""

INGRESS_CPUS = 0.1
ROUTER_CPUS = 0.2
