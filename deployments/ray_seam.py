"""Every private or unstable name of Ray that this project uses, behind a function with a documented purpose.

The one file to check when Ray is upgraded. Imports wait until a function is called, so that a process loads only the
ones it needs.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

ON_THE_HEAD = {"node:__internal_head__": 0.001}
"""The resource by which an actor is placed on the head node: what has to stay with one disk."""


def http_address() -> tuple[str, int] | None:
    """(host, port) of this cluster's HTTP proxies; None where Serve does not run yet."""
    import ray
    from ray.serve.context import _get_global_client
    from ray.serve.exceptions import RayServeException

    if not ray.is_initialized():
        return None
    try:
        http = _get_global_client().http_config
    except RayServeException:
        return None
    return str(http.host), int(http.port)


def deploy(config: Mapping[str, Any]) -> None:
    """Start Serve on the connected cluster and deploy ``config``, in Serve's own schema, without waiting for it.

    The public ways are ``serve deploy``, which needs the dashboard, and ``serve.run``, which takes no config file.
    """
    from ray.serve._private import api
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate(config)
    client = api.serve_start(http_options=schema.http_options.model_dump(), proxy_location=schema.proxy_location)
    client.deploy_apps(schema, _blocking=False)


def begin_call(method: Any, *args: Any) -> Any:
    """``method.remote(*args)`` of a deployment's handle, under a request id of its own: what every call goes through.

    By default, all calls made for one HTTP request share its internal id, and a request router sees only the first of
    them: of two at once, one waits for good, and so does every call after it. Serve makes a new id where the context
    has none.
    """
    from ray.serve import context

    def run() -> Any:
        current = context._get_serve_request_context()
        context._serve_request_context.set(replace(current, _internal_request_id=""))
        return method.remote(*args)

    return contextvars.copy_context().run(run)


async def ask(method: Any, *args: Any) -> Any:
    """The answer of ``method`` of a deployment's handle; where nobody waits for it any more, the call is cancelled."""
    response = begin_call(method, *args)
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()
        raise


def is_dead(actor_id: str) -> bool:
    """Whether an actor's process has ended, by Ray's control service. Blocks for a call to it."""
    from ray._private.state import actors

    return bool(actors(actor_id).get("State") == "DEAD")


def wrap_grpc_port(wrap: Callable[[Callable[[Any, str], int]], Callable[[Any, str], int]]) -> None:
    """Replace the function that binds the port of this process's gRPC server; a second call changes nothing.

    The function takes the server and an address, and returns the bound port.
    """
    from ray.serve._private import replica

    if not getattr(replica.add_port_to_grpc_server, "is_wrapped", False):
        wrapped = wrap(replica.add_port_to_grpc_server)
        wrapped.is_wrapped = True  # type: ignore[attr-defined]
        replica.add_port_to_grpc_server = wrapped
