"""What the store says of residency is passed on, and forgotten some time after it has fallen silent."""

from __future__ import annotations

from ray.exceptions import RayActorError

from deployments.shared.residency import ClusterResidency
from deployments.store.residency_follower import FORGET_S, ResidencyFollower

DEVICE = ClusterResidency({"a": {"p": "device"}})
HOST = ClusterResidency({"a": {"p": "host"}})


async def test_what_a_lost_store_said_is_forgotten_after_a_while() -> None:
    answer: ClusterResidency | None = DEVICE
    told, now = [ClusterResidency()], 0.0

    async def ask() -> ClusterResidency:
        if answer is None:
            raise RayActorError
        return answer

    follower = ResidencyFollower(ask, told.append, lambda: now)
    await follower.refresh()
    assert told[-1] == DEVICE
    answer, now = None, FORGET_S
    await follower.refresh()
    assert told[-1] == DEVICE
    now = FORGET_S + 1
    await follower.refresh()
    assert told[-1] == ClusterResidency()
    answer = HOST
    await follower.refresh()
    assert told[-1] == HOST
