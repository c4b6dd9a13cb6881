"""The number of model replicas that the backlog of tokens calls for.

The backlog of a replica are the tokens that its engine has promised and not computed yet (`Scheduler.backlog_tokens`).
Serve applies the bounds and delays of the settings to the policy's result, and starts the first replica itself where
there is none and a request waits. Runs in the Serve controller, so it imports no engine.
"""

from __future__ import annotations

import warnings
from typing import Any

from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from adaptrix_core.config.sections import ReplicaSettings

BACKLOG = "backlog_tokens"
INTERVAL_S = 1.0
"""Seconds between two reports of load from replicas and ingresses to the controller."""
LOOK_BACK_S = 3.0


class TokenBacklogPolicy:
    """Called by the controller about ten times a second."""

    def __init__(self, tokens_per_replica: int) -> None:
        self._tokens_per_replica = tokens_per_replica

    def __call__(self, context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """The number of replicas, which Serve rounds up; and no state."""
        if context.current_num_replicas == 0:
            return context.target_num_replicas, {}
        backlog = sum((context.aggregated_metrics or {}).get(BACKLOG, {}).values())
        # A stream that is nearly done has hardly any backlog, but its replica is needed.
        needed = 1.0 if context.total_num_requests > 0 else 0.0
        return max(backlog / self._tokens_per_replica, needed), {}


def autoscaling_config(settings: ReplicaSettings) -> AutoscalingConfig | None:
    """Serve's configuration; None where the number of replicas is fixed."""
    if settings.max_replicas is None:
        return None
    with warnings.catch_warnings():
        # Serve prefers the interval in the environment of every process of the cluster, and warns otherwise.
        warnings.simplefilter("ignore", DeprecationWarning)
        return AutoscalingConfig(
            min_replicas=settings.fewest,
            initial_replicas=settings.num_replicas,
            max_replicas=settings.max_replicas,
            upscale_delay_s=settings.scale_up_delay_s,
            downscale_delay_s=settings.scale_down_delay_s,
            downscale_to_zero_delay_s=settings.scale_to_zero_delay_s,
            metrics_interval_s=INTERVAL_S,
            look_back_period_s=LOOK_BACK_S,
            policy=AutoscalingPolicy(
                policy_function="deployments.launch.autoscaling:TokenBacklogPolicy",
                policy_kwargs={"tokens_per_replica": settings.tokens_per_replica},
            ),
        )
