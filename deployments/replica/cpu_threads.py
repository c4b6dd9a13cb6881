"""How many CPU threads a replica computes with.

Ray limits a process to the cores that it reserves. That is what to do on a node which others use too; where the cores
beyond are nobody's, they would idle.
"""

from __future__ import annotations

from adaptrix_core.sections import ReplicaSettings


def num_threads(replicas: ReplicaSettings, node_cpus: float) -> int:
    """The configured number, or all cores of the node if all replicas shared it, and never fewer than are reserved."""
    if replicas.threads is not None:
        return replicas.threads
    most = replicas.max_replicas or replicas.num_replicas
    return max(1, int(replicas.cpus), int(node_cpus // most))
