"""On a machine of its own, Ray Serve's replicas listen on loopback like all the rest of Ray does there.

Their gRPC server, over which calls travel from process to process, is bound to every interface by Ray Serve itself, and
whoever reaches it can have code run. It is bound after a deployment has been made, so a deployment can still say where.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import ray

from deployments import ray_seam

ANYWHERE = "[::]"


def keep_to_loopback() -> None:
    """Have this process's replica listen on loopback alone, if its node does; call it while a deployment is made."""
    host = ray.util.get_node_ip_address()
    if not ip_address(host).is_loopback:
        return

    def on_loopback(add_port: Callable[[Any, str], int]) -> Callable[[Any, str], int]:
        return lambda server, address: int(add_port(server, address.replace(ANYWHERE, host)))

    ray_seam.wrap_grpc_port(on_loopback)
