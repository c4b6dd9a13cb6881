"""Finds the adapter store's actor, or makes it: from any process, at any time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import ray
from ray.exceptions import RayActorError

from adaptrix_core.config.sections import AdapterSettings
from deployments.store.actor import AdapterStore
from deployments.store.fingerprint import fingerprint

logger = logging.getLogger(__name__)

STORE_NAME = "adaptrix-store"


async def open_store(settings: AdapterSettings, namespace: str) -> Any:
    """The store's handle; makes the actor if there is none, and replaces one that was made with other settings.

    namespace: of the Serve application, so that two applications on one cluster have a store each. Any process may call
    this at any time: an actor retires only if its own settings are not the requested ones.
    """
    remote_class = ray.remote(AdapterStore)
    while True:
        handle = remote_class.options(
            name=STORE_NAME,
            namespace=namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=3,
            num_cpus=0.1,
        ).remote(settings)
        try:
            await handle.retire_unless.options(max_task_retries=0).remote(fingerprint(settings))
            return handle
        except RayActorError:
            logger.info("the adapter store's settings changed; starting a new one")
            await asyncio.sleep(0.2)


def namespace_of(app_name: str) -> str:
    """The Ray namespace of a Serve application's store."""
    return f"adaptrix-{app_name}"
