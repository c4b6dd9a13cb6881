"""Finds a named actor that outlives whoever made it, or makes it: from any process, at any time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import ray
from ray.exceptions import RayActorError

logger = logging.getLogger(__name__)

RETIRING_S = 0.2
"""Seconds in which an actor that retires has left its name."""


async def open_actor(actor: type, args: tuple[Any, ...], wanted: str, *, name: str, namespace: str, **how: Any) -> Any:
    """The handle; one that was made with other settings is replaced.

    actor: its class, made with ``args``, whose method ``retire_unless`` ends it for good unless ``wanted`` is the
    fingerprint of its own settings. namespace: of the Serve application, so that two on one cluster have one each.
    how: further options of Ray. Any process may call this at any time.
    """
    remote_class = ray.remote(actor)
    while True:
        handle = remote_class.options(
            name=name, namespace=namespace, lifetime="detached", get_if_exists=True, max_restarts=-1, **how
        ).remote(*args)
        try:
            await handle.retire_unless.options(max_task_retries=0).remote(wanted)
            return handle
        except RayActorError:
            logger.info("the settings of %s changed; starting a new one", name)
            await asyncio.sleep(RETIRING_S)
