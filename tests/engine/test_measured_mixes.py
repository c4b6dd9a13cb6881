"""An engine and mixes that were measured: warned of in the log, refused, or computed with reduced weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from adaptrix_core.adapters import TrustPolicy, describe, generate_key_pair, write_package
from adaptrix_core.adapters.trust.signed_shelf import SignedPlace
from adaptrix_core.composition.conflicts.guard import ConflictGuard
from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix, MeasuredPart
from adaptrix_core.composition.conflicts.shelf import ConflictShelf
from adaptrix_core.composition.conflicts.signed_mix import CONFLICT_FILE, MOST_BYTES, write_measurement
from adaptrix_core.config.composition_section import CompositionSettings, OverLimit
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import Conflict
from adaptrix_core.training.evaluation.interference import loaded_adapters
from tests.tiny_models import byte_tokenizer, random_base, random_weights

MIX = {"red": 0.5, "blue": 0.5}
REDUCED = {"red": 0.5, "blue": -0.25}
PARAMS = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
PLACE = "conflicts"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    base = random_base(tokenizer=byte_tokenizer())
    for seed, name in enumerate(MIX):
        weights = random_weights(base, seed=seed)
        write_package(tmp_path / "adapters" / name, describe(weights, base.info, name), weights)
    generate_key_pair(tmp_path / "ours.key", tmp_path / "trusted" / "ours.pub")
    return Engine(base, tmp_path / "adapters", TrustPolicy("off"), EngineOptions(block_size=4, kv_cache_tokens=1024))


def guarded(engine: Engine, root: Path, over_limit: OverLimit = "warn") -> ConflictShelf:
    shelf = ConflictShelf([SignedPlace(root / PLACE, (root / "trusted",))], poll_s=0.0)
    engine.conflicts = ConflictGuard(CompositionSettings(over_limit=over_limit), shelf)
    return shelf


def measured(engine: Engine, displaced: float = 9.0, mix: Mapping[str, float] = MIX) -> MeasuredMix:
    adapters = loaded_adapters(engine, tuple(mix))
    parts = [
        MeasuredPart(
            identity=adapter.identity,
            package_digest=adapter.package_digest,
            weights_digest=adapter.weights_digest,
            weight=mix[name],
            reduced=REDUCED[name],
            prompts=2,
            tokens=20,
            loss_rise=1.0,
            tokens_kept=0.5,
            displacement=displaced,
        )
        for name, adapter in adapters.items()
    ]
    info = engine.base.info
    return MeasuredMix(
        base_lineage=info.lineage,
        base_digest=info.digest,
        layout=engine.base.layout,
        max_tokens=48,
        date="2026-01-01",
        parts=tuple(parts),
    )


def answer(engine: Engine, mix: Mapping[str, float]) -> tuple[int, ...]:
    return engine.generate(["the fox"], dict(mix), PARAMS)[0].token_ids


def test_a_measured_mix_is_told_of_once_for_all_prompts(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guarded(engine, tmp_path)
    wanted = answer(engine, MIX)
    write_measurement(measured(engine), tmp_path / PLACE, tmp_path / "ours.key")
    with caplog.at_level(logging.WARNING):
        found = engine.generate(["the fox", "a dog"], MIX, PARAMS)
    assert found[0].token_ids == wanted
    (line,) = [record.getMessage() for record in caplog.records if "mix_conflict" in record.getMessage()]
    assert "red*0.5+blue*0.5 is expected to lose 1.00" in line


def test_a_refused_mix_is_not_computed_in_any_form(engine: Engine, tmp_path: Path) -> None:
    guarded(engine, tmp_path, over_limit="refuse")
    write_measurement(measured(engine), tmp_path / PLACE, tmp_path / "ours.key")
    for refused in (
        lambda: engine.generate(["the fox"], MIX, PARAMS),
        lambda: engine.generate(["the fox"], fork=["red", MIX], params=PARAMS),
        lambda: engine.generate(["the fox"], {"sequential": ["red", {"parallel": MIX}]}, PARAMS),
        lambda: next(engine.stream("the fox", MIX, PARAMS)),
    ):
        with pytest.raises(Conflict, match="limit") as error:
            refused()
        assert error.value.code == "mix_conflict"
    for allowed in ({"red": 1.0}, {"red": 0.5, "blue": 0.25}):
        assert answer(engine, allowed)
    assert len(engine.logits(["the fox"], MIX)) == 1  # looking at a mix is no use of it


def test_a_resolved_mix_is_computed_with_its_reduced_weights(engine: Engine, tmp_path: Path) -> None:
    guarded(engine, tmp_path, over_limit="resolve")
    wanted = {"as asked": answer(engine, MIX), "reduced": answer(engine, REDUCED)}
    assert wanted["as asked"] != wanted["reduced"]
    write_measurement(measured(engine), tmp_path / PLACE, tmp_path / "ours.key")
    assert answer(engine, MIX) == wanted["reduced"]


def test_the_measurement_with_most_conflict_counts(engine: Engine, tmp_path: Path) -> None:
    shelf = guarded(engine, tmp_path, over_limit="refuse")
    harmless = measured(engine, displaced=0.0)
    write_measurement(harmless, tmp_path / PLACE, tmp_path / "ours.key")
    assert answer(engine, MIX)
    other = measured(engine).model_copy(update={"layout": "int4"})
    write_measurement(other, tmp_path / PLACE, tmp_path / "ours.key")
    with pytest.raises(Conflict, match="int4"):
        answer(engine, MIX)
    assert shelf.find(harmless.key) == other


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "tampered"),
        (b"{}", "tampered"),
        (b" " * (MOST_BYTES + 1), "bad_measurement"),
        (None, "bad_measurement"),
    ],
)
def test_a_changed_measurement_is_left_out_with_the_reason(
    engine: Engine, tmp_path: Path, content: bytes | None, code: str
) -> None:
    shelf = guarded(engine, tmp_path, over_limit="refuse")
    file = write_measurement(measured(engine), tmp_path / PLACE, tmp_path / "ours.key") / CONFLICT_FILE
    if content is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(content)
    assert answer(engine, MIX)
    assert next(iter(shelf.refused.values())).startswith(code)


def test_a_measurement_by_an_untrusted_key_is_left_out(engine: Engine, tmp_path: Path) -> None:
    shelf = guarded(engine, tmp_path, over_limit="refuse")
    generate_key_pair(tmp_path / "theirs.key", tmp_path / "theirs.pub")
    write_measurement(measured(engine), tmp_path / PLACE, tmp_path / "theirs.key")
    assert answer(engine, MIX)
    assert "untrusted_key" in next(iter(shelf.refused.values()))
