"""Alert rules and dashboards: valid, fire on what they are for, and ask for metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adaptrix_core.places import project_root
from deployments.http.observe.metrics import Metrics
from deployments.http.observe.replica_numbers import NUMBERS
from deployments.proxy.metrics import ProxyMetrics
from deployments.shared.catalogue import Catalogue
from deployments.shared.wire import Report

RULES = project_root() / "cluster" / "rules" / "alerts.yaml"
SERIES = Path(__file__).with_name("alerts_test.yaml")
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus)")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)


@needs_promtool
def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_each_rule_fires_on_its_fault_and_none_without_one() -> None:
    done = promtool("test", "rules", str(SERIES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tried_and_says_what_to_do() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    tried = SERIES.read_text()
    for rule in group["rules"]:
        assert rule["alert"] in tried
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def asked_for() -> Iterator[str]:
    """Every expression of the rules and of the dashboards."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for file in (project_root() / "cluster" / "dashboards").glob("*.json"):
        for panel in json.loads(file.read_text())["panels"]:
            yield from (target["expr"] for target in panel.get("targets", ()))


def told() -> set[str]:
    """Names that a scrape can hold, those of histograms and counters as samples have them."""
    report = Report("replica-1", "base", 10, "1", stats=dict.fromkeys(NUMBERS, 1.0))
    text = (
        Metrics().render(Catalogue(""), [report], {"completed": 1}).decode()
        + ProxyMetrics(("/v1/completions",)).text().decode()
    )
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return names


def test_rules_and_dashboards_ask_for_metrics_that_there_are() -> None:
    wanted = {name for expression in asked_for() for name in re.findall(r"\badaptrix_\w+", expression)}
    assert wanted
    assert wanted <= told(), wanted - told()
