"""The cores that are reserved for what stands beside the model replicas."""

INGRESS_CPUS = 0.1
ROUTER_CPUS = 0.2
