"""`serve deploy` without the dashboard: ``python -m tests.serving.deploy ADDRESS CONFIG``; ends once all of it runs."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import ray
import yaml
from ray import serve

from deployments import ray_seam

DEADLINE_S = 500.0


def main(address: str, config: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    wanted = yaml.safe_load(config.read_text())
    while True:
        try:
            ray.init(address=address, namespace="serve", log_to_driver=False, logging_level=logging.ERROR)
            break
        except ConnectionError:
            assert time.monotonic() < deadline, "no cluster"
            time.sleep(0.2)
    ray_seam.deploy(wanted)
    while True:
        status = serve.status().applications.get(wanted["applications"][0]["name"])
        if status is not None and status.status == "RUNNING":
            return
        assert status is None or status.status != "DEPLOY_FAILED", status
        assert time.monotonic() < deadline, status
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
