"""Thresholds meet their requirement on the calibration prompts, and survive being written down."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.errors import ConfigError
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibrate import (
    OUT_OF_SCOPE_TO_BASE,
    TIES_RIGHT,
    calibrate,
    lowest_that_rejects,
    with_provenance,
)
from adaptrix_core.routing.calibration import Calibration, load_calibration
from adaptrix_core.routing.catalogue import RouteCard, cards_in, suggested
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter

values = st.lists(st.floats(-3, 3).map(lambda x: round(x, 2)), min_size=1, max_size=30).map(np.array)


@pytest.fixture(scope="module")
def all_shipped(embedder: TextEmbedder) -> SemanticRouter:
    """A router over all adapters that are shipped, as the command calibrates it."""
    return SemanticRouter(embedder, cards_in(shipped_adapters()))


@pytest.fixture(scope="module")
def found(all_shipped: SemanticRouter) -> Calibration:
    """What calibration says for the shipped adapters."""
    return calibrate(
        all_shipped,
        prompts.in_scope_calibration(),
        prompts.out_of_scope("calibration"),
        prompts.conversations("calibration"),
    )


@given(values, values, st.floats(0.5, 1.0))
def test_the_threshold_rejects_enough_and_none_that_does_keeps_more(
    wanted: np.ndarray, unwanted: np.ndarray, share: float
) -> None:
    threshold = lowest_that_rejects(wanted, unwanted, share)
    assert (unwanted < threshold).mean() >= share
    for other in np.arange(-4.005, 4, 0.01):
        if (unwanted < other).mean() >= share:
            assert (wanted >= other).mean() <= (wanted >= threshold).mean()


def test_calibration_meets_its_requirement(found: Calibration, all_shipped: SemanticRouter) -> None:
    best = np.max(list(all_shipped.margins(prompts.out_of_scope("calibration")).values()), axis=0)
    assert (best < found.accept).mean() >= OUT_OF_SCOPE_TO_BASE
    inside = all_shipped.margins([row.prompt for row in prompts.in_scope_calibration()])
    kept = [inside[row.adapter or ""][i] >= found.accept for i, row in enumerate(prompts.in_scope_calibration())]
    assert np.mean(kept) >= 0.94


def test_the_defaults_are_what_calibration_finds(found: Calibration) -> None:
    default = Calibration()
    for field in ("accept", "stay", "lead", "tie", "slope", "intercept"):
        assert getattr(default, field) == pytest.approx(getattr(found, field), abs=0.01), field


def test_the_committed_file_is_what_calibration_finds(found: Calibration) -> None:
    committed = load_calibration(shipped_adapters() / "routing.json")
    assert committed.provenance["prompt_files_sha256"] == prompts.file_digests(), (
        "calibrate again: the prompts have changed"
    )
    for field in ("accept", "stay", "lead", "tie", "slope", "intercept"):
        assert getattr(committed, field) == pytest.approx(getattr(found, field), abs=0.01), field


def test_written_and_read_again_it_is_the_same(found: Calibration, shipped: SemanticRouter, tmp_path: Path) -> None:
    full = with_provenance(found, suggested(), shipped)
    full.save(tmp_path / "routing.json")
    assert load_calibration(tmp_path / "routing.json") == full
    assert full.provenance["prompt_files_sha256"] == prompts.file_digests()
    assert [entry.name for entry in tmp_path.iterdir()] == ["routing.json"]


def test_a_tie_is_what_courtesies_do_and_less_than_any_prompt_leads_its_rival_by(
    found: Calibration, all_shipped: SemanticRouter
) -> None:
    rows = prompts.in_scope_calibration()
    names = [card.name for card in all_shipped.catalogue]
    forms = ("{}", "Could you tell me: {} Thanks!")
    plain, polite = (all_shipped.margins([form.format(row.prompt) for row in rows]) for form in forms)
    moved = [
        abs((polite[a][i] - polite[b][i]) - (plain[a][i] - plain[b][i]))
        for i in range(len(rows))
        for a, b in combinations(names, 2)
    ]
    assert np.median(moved) < found.tie < np.max(moved), "a courtesy that was not calibrated with moves leads as much"
    leads = [plain[row.adapter or ""][i] - plain[n][i] for i, row in enumerate(rows) for n in names if n != row.adapter]
    assert np.mean(np.array(leads) > found.tie) >= TIES_RIGHT


def test_one_adapter_alone_has_no_ties(embedder: TextEmbedder) -> None:
    alone = SemanticRouter(embedder, suggested()[:1])
    numbers = calibrate(
        alone, prompts.in_scope_calibration(), prompts.out_of_scope("calibration"), prompts.conversations("calibration")
    )
    assert numbers.tie == 0.0


def test_a_file_from_before_there_were_other_signals_keeps_the_one_it_was_chosen_with(tmp_path: Path) -> None:
    (tmp_path / "routing.json").write_text('{"accept": -0.05, "slope": 3.35}')
    old = load_calibration(tmp_path / "routing.json")
    assert (dict(old.signals), old.accept) == ({"embedding": 1.0}, -0.05)
    (tmp_path / "routing.json").write_text('{"signals": {"tasks": 1.0}}')
    assert dict(load_calibration(tmp_path / "routing.json").signals) == {"tasks": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ('{"accept": "high"}', "accept: Input should be a valid number"),
        ('{"accept": 0.1, "acept": 0.2}', "acept: Extra inputs"),
        ('{"slope": -1}', "slope: Input should be greater than 0"),
        ('{"stay": NaN}', "stay"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_by_field(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "routing.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_calibration(tmp_path / "routing.json")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json: No such file"):
        load_calibration(tmp_path / "nothing.json")


def test_adapters_without_calibration_prompts_cannot_be_calibrated(embedder: TextEmbedder) -> None:
    router = SemanticRouter(embedder, [RouteCard("cooking", "Recipes.")])
    with pytest.raises(ConfigError, match=r"no calibration prompt is for any of \['cooking'\]"):
        calibrate(router, prompts.in_scope_calibration(), (), prompts.conversations("calibration"))
