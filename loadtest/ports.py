"""Ports for servers that a test or a benchmark starts: free now, and still free when the server gets to bind one."""

from __future__ import annotations

import random
import socket

# Below the range from which Linux takes the ports of outgoing connections and of bindings to port 0 (32768 and up,
# net.ipv4.ip_local_port_range), and above the one that Ray gives its workers (10002 to 19999). A port that the kernel
# picks can go to one of the many sockets that Ray opens in the seconds before its proxy binds.
FIRST, LAST = 20_000, 29_999


def free_port() -> int:
    """A port of the loopback that nobody listens on, and that nobody is given who doesn't ask for it by number."""
    for port in random.sample(range(FIRST, LAST + 1), k=LAST + 1 - FIRST):
        with socket.socket() as probe:
            # As a server does: a port whose last connections are still closing is free to be bound.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"each of the ports {FIRST} to {LAST} is taken")
