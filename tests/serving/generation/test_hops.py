"""How far a token goes from the engine to its client: few frames, each of which somebody has to read."""

from __future__ import annotations

from pathlib import Path

from tests.serving.hops import behind_a_handle, hops_of_a_token
from tests.serving.inprocess import running
from tests.serving.tiny import World

MOST_GENERATORS = 4
"""Of ours, in ingress and replica together: the events of the response, Ray's handle, the replica, its worker."""
BODY = {"messages": [{"role": "user", "content": "What is 17 + 25?"}], "stream": True, "ignore_eos": True}


async def test_a_token_passes_few_async_generators(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args, replicas_of=behind_a_handle) as (http, _):
        hops = await hops_of_a_token(http, {**BODY, "model": "math_reasoning"})
    files = [hop.file for hop in hops]
    assert files[0].endswith("http/sse.py")
    assert "deployments/generation/pipeline.py" in files
    assert files[-1].endswith("engine/mailbox.py")
    assert sum(hop.is_generator for hop in hops) <= MOST_GENERATORS, hops
