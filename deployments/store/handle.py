"""Finds the adapter store's actor, or makes it: from any process, at any time."""

from __future__ import annotations

from typing import Any

from adaptrix_core.config.sections import AdapterSettings
from deployments.detached_actor import open_actor
from deployments.store.actor import AdapterStore
from deployments.store.fingerprint import fingerprint

STORE_NAME = "adaptrix-store"


async def open_store(settings: AdapterSettings, namespace: str) -> Any:
    """The store's handle; makes the actor if there is none, and replaces one that was made with other settings.

    namespace: of the Serve application, so that two applications on one cluster have a store each. Any process may call
    this at any time: an actor retires only if its own settings are not the requested ones.
    """
    return await open_actor(
        AdapterStore,
        (settings,),
        fingerprint(settings),
        name=STORE_NAME,
        namespace=namespace,
        max_task_retries=3,
        num_cpus=0.1,
    )


def namespace_of(app_name: str) -> str:
    """The Ray namespace of a Serve application's store."""
    return f"adaptrix-{app_name}"
