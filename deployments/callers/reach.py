"""Who can reach the server: a server without keys is for its own machine."""

from __future__ import annotations

import ipaddress

from adaptrix_core.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(host: str, port: int) -> str:
    """The URL at which clients on this machine reach the server."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def require_loopback(host: str) -> None:
    """Raise ConfigError unless ``host`` is a loopback address; for servers without API keys."""
    if not is_loopback(host):
        raise ConfigError(
            [
                f"http_options.host = {host!r} without API keys: everybody who reaches it could load adapters; "
                "set security.api_keys_file, or listen on 127.0.0.1"
            ]
        )
