"""The Serve application's builder, import path ``deployments.app:build``.

Validates all settings before anything starts, then binds the deployments: ingress, router, model replicas, and the
one in the background. Knows how the parts are connected and how much of a machine each may use; not what they do.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig

from adaptrix_core.config import Settings, load_settings
from adaptrix_core.places import project_root
from deployments import ray_seam
from deployments.background.deployment import Background
from deployments.callers.key_ring import KeyRing
from deployments.callers.reach import require_loopback, url_of
from deployments.ingress.deployment import Ingress
from deployments.launch.autoscaling import autoscaling_config
from deployments.launch.reserved_cpus import INGRESS_CPUS, ROUTER_CPUS
from deployments.replica.deployment import ModelReplica
from deployments.router.deployment import RouterReplica

HEALTH_CHECK_PERIOD_S = 3.0
HEALTH_CHECK_TIMEOUT_S = 30.0
INGRESS_DRAIN_S = 600.0
"""Longest time, in seconds, that a leaving ingress waits for its streams: a stream can move from replica to replica,
but not from the ingress that holds its connection."""
SURGE_PERCENT = 100
"""New processes started before old ones end in a rolling update, in percent of all: ingress and router are small enough
to run twice."""
MODEL_HEALTH_CHECK_PERIOD_S = 1.0
MODEL_HEALTH_CHECK_TIMEOUT_S = 2.5
"""Seconds that a health check may take. Ray Serve replaces a replica after three failed checks in a row: within 15 s,
with the waits between."""
INGRESS_MAX_ONGOING = 4096
BACKGROUND_MAX_ONGOING = 4096
BACKGROUND_DRAIN_S = 5.0
"""Longest time, in seconds, that the keeper of objects finishes what it was asked before it lets go of its files."""
ROUTER_MAX_ONGOING = INGRESS_MAX_ONGOING
"""Everything that waits for the router waits inside it, where tenants take turns: before a replica they would not."""


def build(args: dict[str, Any]) -> Application:
    """The application for these settings; relative paths are meant from the project's root.

    Raises ConfigError that lists every fault, before anything has started.
    """
    settings = load_settings(args, root=project_root())
    keys = KeyRing.read(settings.security.api_keys_file)
    address = ray_seam.http_address()
    if not keys.enabled and address is not None:
        require_loopback(address[0])
    return bind(settings, None if address is None else url_of(*address))


def bind(settings: Settings, url: str | None = None) -> Application:
    """The deployments, bound to one another. url: the service's address for clients, logged once it is ready."""
    replicas = settings.replicas
    health: dict[str, Any] = {
        "health_check_period_s": HEALTH_CHECK_PERIOD_S,
        "health_check_timeout_s": HEALTH_CHECK_TIMEOUT_S,
    }
    scaling = autoscaling_config(replicas)
    router = (
        serve.deployment(RouterReplica)
        .options(
            max_ongoing_requests=ROUTER_MAX_ONGOING,
            ray_actor_options={"num_cpus": ROUTER_CPUS},
            max_surge_percent=SURGE_PERCENT,
            **health,
        )
        .bind(settings)
        if settings.router.enabled
        else None
    )
    model = (
        serve.deployment(ModelReplica)
        .options(
            **({"num_replicas": replicas.num_replicas} if scaling is None else {"autoscaling_config": scaling}),
            # The engine has its own queue and refuses with a clear error, so Serve's limit must lie above it.
            max_ongoing_requests=2 * (settings.engine.max_queue + settings.engine.max_rows),
            ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
            request_router_config=RequestRouterConfig(
                request_router_class="deployments.placement.request_router:AffinityRouter"
            ),
            graceful_shutdown_timeout_s=replicas.drain_timeout_s,
            max_surge_percent=replicas.max_surge_percent,
            health_check_period_s=MODEL_HEALTH_CHECK_PERIOD_S,
            health_check_timeout_s=MODEL_HEALTH_CHECK_TIMEOUT_S,
        )
        .bind(settings, router if settings.router.trunk else None)
    )
    ingress = serve.deployment(Ingress).options(
        max_ongoing_requests=INGRESS_MAX_ONGOING,
        ray_actor_options={"num_cpus": INGRESS_CPUS},
        graceful_shutdown_timeout_s=INGRESS_DRAIN_S,
        max_surge_percent=SURGE_PERCENT,
        **health,
    )
    background = serve.deployment(Background).options(
        max_ongoing_requests=BACKGROUND_MAX_ONGOING,
        # It waits for the disk and for replicas most of the time.
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=BACKGROUND_DRAIN_S,
        max_surge_percent=0,
        **health,
    )
    return ingress.bind(settings, model, background.bind(settings, model, router), router, url)
