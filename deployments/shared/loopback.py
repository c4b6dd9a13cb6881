"""Keeps Ray Serve's replicas on loopback where all the rest of Ray listens there, as on a single machine.

Ray Serve binds their gRPC server, which carries calls between processes, to every interface, and anybody who reaches it
can have code run. It is bound after a deployment's constructor, so the constructor can still choose the address.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import ray

from deployments import ray_seam

ANYWHERE = "[::]"


def keep_to_loopback() -> None:
    """Make this process's replica listen on loopback alone, if its node does; for a deployment's constructor."""
    host = ray.util.get_node_ip_address()
    if not ip_address(host).is_loopback:
        return

    def on_loopback(add_port: Callable[[Any, str], int]) -> Callable[[Any, str], int]:
        return lambda server, address: int(add_port(server, address.replace(ANYWHERE, host)))

    ray_seam.wrap_grpc_port(on_loopback)
