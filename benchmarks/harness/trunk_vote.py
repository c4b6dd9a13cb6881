"""Waits until the trunk of a served system has a vote: its probes are fitted in the background after a start."""

from __future__ import annotations

import time

import httpx

PROBES_S = 120.0
"""Longest time, in seconds, until the trunk has a say."""


def wait_for_trunk_vote(url: str) -> None:
    """Until the trunk votes. Raises RuntimeError where it does not."""
    deadline, why = time.monotonic() + PROBES_S, "it was not asked"
    while time.monotonic() < deadline:
        body = {"messages": [{"role": "user", "content": "What is 12 + 30?"}]}
        votes = {vote["signal"]: vote for vote in httpx.post(f"{url}/v1/route", json=body, timeout=60).json()["votes"]}
        if votes.get("trunk", {}).get("log_odds"):
            return
        why = votes.get("trunk", {}).get("reason", why)
        time.sleep(1.0)
    raise RuntimeError(f"the trunk has no say after {PROBES_S} s: {why}")
