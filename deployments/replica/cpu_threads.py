"""The number of CPU threads that a replica computes with.

Ray limits a process to the cores that it reserves. That is right on a node with other users; on a node of its own, the
other cores would idle.
"""

from __future__ import annotations

from adaptrix_core.config.sections import ReplicaSettings


def num_threads(replicas: ReplicaSettings, node_cpus: float) -> int:
    """The configured number, else the node's cores divided by the number of replicas, but at least those reserved."""
    if replicas.threads is not None:
        return replicas.threads
    most = replicas.max_replicas or replicas.num_replicas
    return max(1, int(replicas.cpus), int(node_cpus // most))
