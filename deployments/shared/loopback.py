"""On a machine of its own, Ray Serve's replicas listen on loopback like all the rest of Ray does there.

Their gRPC server, over which calls travel from process to process, is bound to every interface by Ray Serve itself, and
whoever reaches it can have code run. It is bound after a deployment has been made, so a deployment can still say where.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import ray
from ray.serve._private import replica

ANYWHERE = "[::]"


def keep_to_loopback() -> None:
    """Have this process's replica listen on loopback alone, if its node does; call it while a deployment is made."""
    host = ray.util.get_node_ip_address()
    if not ip_address(host).is_loopback or getattr(replica.add_port_to_grpc_server, "is_kept", False):
        return
    add_port = replica.add_port_to_grpc_server

    def add_loopback_port(server: Any, address: str) -> int:
        return int(add_port(server, address.replace(ANYWHERE, host)))

    add_loopback_port.is_kept = True  # type: ignore[attr-defined]
    replica.add_port_to_grpc_server = add_loopback_port
