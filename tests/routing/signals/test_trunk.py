"""Routing from the trunk: means are the base model's own, probes tell adapters apart, nothing missing is made up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.engine import Engine, EngineLoop, EngineOptions, GenerationRequest, SamplingParams
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibration import TRUNK_ALONE, WITH_TRUNK
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.message import RoutedMessage, Vectors
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.trunk import FittedTrunk, TrunkSignal
from adaptrix_core.routing.trunk.cached_means import CachedMeans
from adaptrix_core.routing.trunk.reading import reader_of, trunk_means, trunk_means_beside
from adaptrix_core.routing.trunk.settlement import OpenChoice, TurnSoFar, settled
from tests.tiny_models import byte_tokenizer, random_base

CUT, HIDDEN = 2, 16
TEXTS = ["What is 3 + 4?", "name all the foxes", "日本語"]
CARDS = [RouteCard("red", examples=("red one", "red two")), RouteCard("blue", examples=("blue one", "blue two"))]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    base = random_base(tokenizer=byte_tokenizer(), max_position_embeddings=256)
    options = EngineOptions(cut=CUT, block_size=4, kv_cache_tokens=2048)
    return Engine(base, tmp_path_factory.mktemp("catalogue"), TrustPolicy("off"), options)


def plain_means(engine: Engine, texts: Sequence[str]) -> Vectors:
    """By transformers' own forward, over the tokens of the text inside the fallback template."""
    means, base = [], engine.base
    for text in texts:
        ids = base.encode_chat([{"role": "user", "content": text}])
        before = len(base.encode("user: "))
        assert base.require_tokenizer().decode(ids[before - 1 :]).lstrip(" :").startswith(text[:1])
        own = [i for i, (a, b) in enumerate(offsets(base, text)) if b > len("user: ") and a < len("user: ") + len(text)]
        with torch.inference_mode():
            states = base.module(torch.tensor([ids]), output_hidden_states=True).hidden_states[CUT][0]
        means.append(states[own].mean(0).numpy())
    return np.stack(means)


def offsets(base: object, text: str) -> list[tuple[int, int]]:
    written = base.chat_text([{"role": "user", "content": text}])  # type: ignore[attr-defined]
    encoded = base.require_tokenizer()(written, add_special_tokens=False, return_offsets_mapping=True)  # type: ignore[attr-defined]
    return list(encoded["offset_mapping"])


def test_texts_are_read_as_the_base_model_reads_them(engine: Engine, tmp_path: Path) -> None:
    means = trunk_means(engine, TEXTS)
    before = list(engine.runner.layer_tokens)
    np.testing.assert_allclose(means, plain_means(random_twin(engine), TEXTS), atol=1e-4)
    assert engine.runner.layer_tokens == before
    assert not engine.has_work
    assert engine.stats()["kv_blocks"]["used"] == 0


def random_twin(engine: Engine) -> Engine:
    """The same model without the engine's attention, for transformers' forward."""
    base = random_base(tokenizer=byte_tokenizer(), max_position_embeddings=256)
    twin = object.__new__(Engine)
    twin.base = base
    return twin


def test_reading_computes_no_branch(engine: Engine) -> None:
    before = engine.runner.layer_tokens[1]
    trunk_means(engine, ["a text that nobody has read"])
    assert engine.runner.layer_tokens[1] == before


async def test_texts_are_read_beside_a_stream_that_goes_on(tmp_path: Path) -> None:
    base = random_base(tokenizer=byte_tokenizer(), max_position_embeddings=256)
    options = EngineOptions(cut=CUT, block_size=4, kv_cache_tokens=2048)
    engine = Engine(base, tmp_path, TrustPolicy("off"), options)
    loop = EngineLoop(engine)
    loop.start()
    try:
        params = SamplingParams(max_tokens=40, temperature=0.0, ignore_eos=True)
        stream = loop.generate(GenerationRequest("stream", (5, 6, 7), params))
        first = await anext(stream)
        means, rest = await asyncio.gather(trunk_means_beside(loop, TEXTS), collected(stream))
        assert first.token_id is not None
        assert len(rest) == 39
        np.testing.assert_allclose(means, plain_means(random_twin(engine), TEXTS), atol=1e-4)
    finally:
        loop.stop()


async def collected(stream: object) -> list[object]:
    return [event async for event in stream]  # type: ignore[attr-defined]


def test_an_engine_without_a_cut_says_so(tmp_path: Path) -> None:
    base = random_base(tokenizer=byte_tokenizer())
    plain = Engine(base, tmp_path, TrustPolicy("off"), EngineOptions(block_size=4, kv_cache_tokens=256))
    with pytest.raises(InvalidRequest, match="no cut"):
        trunk_means(plain, TEXTS)


def test_means_are_kept_for_their_base_and_cut_alone(engine: Engine, tmp_path: Path) -> None:
    means = trunk_means(engine, TEXTS)
    kept = CachedMeans(engine, tmp_path)
    assert kept.find(TEXTS) is None
    kept.keep(TEXTS, means)
    np.testing.assert_array_equal(CachedMeans(engine, tmp_path).find(TEXTS), means)
    assert kept.find(TEXTS[:2]) is None
    other = random_base(tokenizer=byte_tokenizer(), seed=1)
    sizes = EngineOptions(cut=CUT, block_size=4, kv_cache_tokens=256)
    assert CachedMeans(Engine(other, tmp_path, TrustPolicy("off"), sizes), tmp_path).find(TEXTS) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x80\x04N."])
def test_a_broken_file_is_read_anew(engine: Engine, tmp_path: Path, content: bytes) -> None:
    kept = CachedMeans(engine, tmp_path)
    kept.keep(TEXTS, trunk_means(engine, TEXTS))
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(content)
    assert kept.find(TEXTS) is None


def test_a_file_under_another_name_is_not_believed(engine: Engine, tmp_path: Path) -> None:
    kept = CachedMeans(engine, tmp_path)
    kept.keep(TEXTS, trunk_means(engine, TEXTS))
    (path,) = tmp_path.glob("*.npz")
    kept.keep(TEXTS[::-1], trunk_means(engine, TEXTS[::-1]))
    (other,) = set(tmp_path.glob("*.npz")) - {path}
    other.replace(path)
    assert kept.find(TEXTS) is None


def test_a_reader_asks_the_engine_once(engine: Engine, tmp_path: Path) -> None:
    reader_of(engine, tmp_path)(TEXTS)
    before = engine.num_steps
    again = reader_of(engine, tmp_path)
    again(TEXTS)
    again([TEXTS[1], TEXTS[1]])
    assert engine.num_steps == before


def made_up(texts: Sequence[str]) -> Vectors:
    """Means in which texts of one first word lie together."""
    rows = []
    for text in texts:
        word, seed = text.split()[0], sum(text.encode())
        noise = np.random.default_rng(seed).normal(size=HIDDEN)
        direction = {"red": 0, "blue": 1}.get(word)
        rows.append(noise + (0 if direction is None else 6 * np.eye(HIDDEN)[direction]))
    return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def fitted() -> FittedTrunk:
    return TrunkSignal(made_up).fit(CARDS)


def about(text: str) -> RoutedMessage:
    return RoutedMessage(text, trunk_mean=made_up([text])[0])


def test_probes_tell_adapters_and_everyday_messages_apart(fitted: FittedTrunk) -> None:
    assert fitted.names == ("red", "blue")
    for name, other in (("red", "blue"), ("blue", "red")):
        odds = fitted.log_odds(about(f"{name} three"))
        assert odds[name] > 0 > odds[other]
    assert max(fitted.log_odds(about("something else")).values()) < 0
    assert "+" in fitted.reason("red", about("red three"))
    assert fitted.reason("green", about("red three")) == ""


def test_a_probe_says_nothing_of_what_it_has_not_read_or_of_another_base(fitted: FittedTrunk) -> None:
    assert fitted.log_odds(RoutedMessage("red three")) == {}
    assert fitted.log_odds(RoutedMessage("red three", trunk_mean=np.zeros(HIDDEN + 1, np.float32))) == {}


def test_only_new_cards_are_read() -> None:
    asked: list[str] = []

    def read(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return made_up(texts)

    signal = TrunkSignal(read)
    signal.fit(CARDS[:1])
    asked.clear()
    assert signal.fit(CARDS).names == ("red", "blue")
    assert asked == list(CARDS[1].texts)


def choice(*margins: dict[str, float], continuity: float = -9.0) -> OpenChoice:
    turns = tuple(TurnSoFar(said, continuity) for said in margins)
    return OpenChoice(turns, ("red", "blue"), WITH_TRUNK if margins[0] else TRUNK_ALONE)


def test_the_trunk_settles_alone_where_nobody_else_has_a_say(fitted: FittedTrunk) -> None:
    for text, adapter in (("red three", "red"), ("blue three", "blue"), ("something else", None)):
        decision = settled(choice({}), fitted, made_up([text]))
        assert decision is not None
        assert decision.adapter == adapter


def test_opinions_add_up(fitted: FittedTrunk) -> None:
    means = made_up(["red three"])
    alone = settled(choice({"red": 0.0, "blue": 0.0}), fitted, means)
    against = settled(choice({"red": -9.0, "blue": 9.0}), fitted, means)
    assert alone is not None
    assert against is not None
    assert (alone.adapter, against.adapter) == ("red", "blue")


def test_a_follow_up_stays_with_its_adapter(fitted: FittedTrunk) -> None:
    means = made_up(["red three", "something else"])
    stays = settled(choice({}, {}, continuity=9.0), fitted, means)
    leaves = settled(choice({}, {}, continuity=-9.0), fitted, means)
    assert stays is not None
    assert leaves is not None
    assert (stays.adapter, stays.previous, leaves.adapter) == ("red", "red", None)


def test_without_every_mean_or_every_probe_nothing_is_settled(fitted: FittedTrunk) -> None:
    assert settled(choice({}), fitted, None) is None
    assert settled(choice({}, {}), fitted, made_up(["red three"])) is None
    assert settled(choice({}), TrunkSignal(made_up).fit(CARDS[:1]), made_up(["red three"])) is None


def test_the_means_of_another_base_model_settle_nothing(fitted: FittedTrunk) -> None:
    assert settled(choice({}), fitted, np.pad(made_up(["red three"]), ((0, 0), (0, 1)))) is None


def test_a_router_with_a_reader_decides_by_the_trunk() -> None:
    router = SemanticRouter(None, CARDS, TRUNK_ALONE, trunk=made_up)
    assert router.signals == {"trunk": 1.0}
    for text, adapter in (("red three", "red"), ("blue three", "blue"), ("something else", None)):
        decision = router.decide([{"role": "user", "content": text}])
        assert decision.adapter == adapter
        assert [vote.signal for vote in decision.votes] == ["trunk"]


def test_what_a_router_leaves_open_has_every_turn() -> None:
    router = SemanticRouter(None, CARDS)
    left = router.left_open(["what of red one", "and red one?"], None, TRUNK_ALONE, {"red": "device"})
    alone = router.left_open(["and red one?"], None, TRUNK_ALONE)
    assert [turn.margins for turn in left.turns] == [{}, {}]
    assert left.turns[1].continuity > alone.turns[0].continuity
    assert (left.names, left.residency) == (("red", "blue"), {"red": "device"})


def test_the_kept_questions_are_not_among_the_examples_of_any_adapter() -> None:
    examples = {text for card in prompts.suggested_cards().values() for text in card["routing_examples"]}
    assert not examples & {row.prompt for row in prompts.kept()}
