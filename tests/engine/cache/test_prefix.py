"""Taken-over blocks: what they save is counted exactly, and what is computed from them is what a cold run computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Term, constant
from tests.engine.driving import drain, request, tokens_of
from tests.engine.peft_cases import relative_error
from tests.tiny_models import CONFIGS, NUM_LAYERS, random_base, random_prompts, random_weights

MakeEngine = Callable[..., Engine]

CUT, BLOCK = 2, 4
TOLERANCE = 1e-5
"""Of the largest logit."""
EXACT, RAGGED = random_prompts([24, 27], seed=5)
ONE, TWO = (SamplingParams(max_tokens=count, temperature=0.0, ignore_eos=True) for count in (1, 2))


def above_the_cut(variant: str, kv_at_the_cut: bool = True) -> dict[str, LoraWeights]:
    """Four adapters that begin at the cut; with or without changes to keys and values there."""
    base = random_base(variant)
    left_out = () if kv_at_the_cut else ("self_attn.k_proj", "self_attn.v_proj")
    points = [p for p in base.points if p[0] >= CUT and not (p[0] == CUT and p[1] in left_out)]
    return {name: random_weights(base, points, rank=2 + number, seed=number) for number, name in enumerate("abcd")}


def computed(engine: Engine) -> list[int]:
    return [span["computed"] for span in engine.stats()["layer_tokens"]]


def work_of(engine: Engine, run: Callable[[], Any]) -> list[int]:
    """Layer-tokens, by span, that ``run`` computed."""
    before = computed(engine)
    run()
    return [after - earlier for earlier, after in zip(before, computed(engine), strict=True)]


class Logits:
    """The logits that an engine samples from, in the order in which it computes them."""

    def __init__(self, engine: Engine, patch: pytest.MonkeyPatch) -> None:
        self.rows: list[Tensor] = []
        head = engine.base.head

        def recording(hidden: Tensor) -> Tensor:
            logits = head(hidden)
            self.rows += list(logits.float())
            return logits

        patch.setattr(engine.base, "head", recording)

    def of(self, run: Callable[[], Any]) -> Tensor:
        """Those of ``run``, ``(rows, vocab)``."""
        self.rows.clear()
        run()
        return torch.stack(self.rows)


@pytest.mark.parametrize("prompt", [EXACT, RAGGED], ids=["whole blocks", "part of a block"])
@pytest.mark.parametrize("width", [2, 4])
def test_a_fork_computes_the_trunk_once(make_engine: MakeEngine, prompt: list[int], width: int) -> None:
    # All rows after the first join in one step, while the first, whose blocks they copy, is still there.
    engine = make_engine(adapters=above_the_cut("llama"), cut=CUT, mixed_prefill_tokens=128)
    work = work_of(engine, lambda: engine.generate([prompt], fork=list("abcd")[:width], params=TWO))
    first_tokens = width  # each row computes the first of its two tokens to get the second
    assert work == [(len(prompt) + first_tokens) * CUT, (width * len(prompt) + first_tokens) * (NUM_LAYERS - CUT)]


def test_choices_of_one_prompt_compute_it_once(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=CUT)
    params = SamplingParams(max_tokens=2, n=3, seed=1, ignore_eos=True)
    work = work_of(engine, lambda: engine.generate([RAGGED], "red", params))
    last_tokens = 2  # of the prompt, whose output each further choice needs
    assert work == [(len(RAGGED) + 3) * CUT, (len(RAGGED) + last_tokens + 3) * (NUM_LAYERS - CUT)]


@pytest.mark.parametrize("chunk", [128, 6], ids=["one step", "chunked"])
@pytest.mark.parametrize("kv", [True, False], ids=["k and v adapted at the cut", "k and v left alone there"])
@pytest.mark.parametrize("variant", list(CONFIGS))
def test_forked_hit_and_cold_runs_give_equal_logits(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, variant: str, kv: bool, chunk: int
) -> None:
    adapters = above_the_cut(variant, kv)
    cold, warm = (
        make_engine(variant, adapters, cut=CUT, max_batch_tokens=chunk, prefix_cache=cached) for cached in (False, True)
    )
    expected = Logits(cold, monkeypatch)
    actual = Logits(warm, monkeypatch)
    for prompt in (EXACT, RAGGED):
        alone = {
            name: expected.of(lambda name=name, prompt=prompt: cold.generate([prompt], name, ONE))[0]
            for name in (None, *adapters)
        }
        forked = actual.of(lambda prompt=prompt: warm.generate([prompt], fork=["a", None, "b"], params=ONE))
        for logits, name in zip(forked, ("a", None, "b"), strict=True):
            assert relative_error(logits, alone[name]) < TOLERANCE
        for name in ("c", "a"):  # a new mix on a known prompt, a known mix on a known prompt
            [hit] = actual.of(lambda name=name, prompt=prompt: warm.generate([prompt], name, ONE))
            assert relative_error(hit, alone[name]) < TOLERANCE
        [every] = warm.logits([prompt], "d")
        [every_cold] = cold.logits([prompt], "d")
        assert relative_error(every, every_cold) < TOLERANCE
    assert computed(cold)[0] > 2 * computed(warm)[0]


def test_a_new_mix_on_a_known_prompt_computes_only_the_branch(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=above_the_cut("llama"), cut=CUT)
    engine.generate([EXACT], "a", ONE)
    assert work_of(engine, lambda: engine.generate([EXACT], "b", ONE)) == [0, len(EXACT) * (NUM_LAYERS - CUT)]
    mix = {"a": 0.5, "b": 0.5}
    assert work_of(engine, lambda: engine.generate([EXACT], mix, ONE)) == [0, len(EXACT) * (NUM_LAYERS - CUT)]
    again = work_of(engine, lambda: engine.generate([EXACT], mix, ONE))
    assert again == [0, BLOCK * (NUM_LAYERS - CUT)]  # the last block is computed again for its output
    taken = engine.stats()["layer_tokens"]
    assert taken[0]["taken_over"] == 3 * len(EXACT) * CUT
    assert taken[1]["taken_over"] == (len(EXACT) - BLOCK) * (NUM_LAYERS - CUT)


def test_a_conversation_computes_only_what_is_new(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=above_the_cut("llama"), cut=CUT)
    first = SamplingParams(max_tokens=9, temperature=0.0, ignore_eos=True)
    [reply] = engine.generate([EXACT], "a", first)
    turn = [*EXACT, *reply.token_ids, *RAGGED[:3]]
    known = (len(EXACT) + 8) // BLOCK * BLOCK  # the last generated token was never computed
    same = work_of(engine, lambda: engine.generate([turn], "a", ONE))
    assert same == [(len(turn) - known) * CUT, (len(turn) - known) * (NUM_LAYERS - CUT)]
    full = len(turn) // BLOCK * BLOCK
    other = work_of(engine, lambda: engine.generate([turn], "b", ONE))
    assert other == [(len(turn) - full) * CUT, len(turn) * (NUM_LAYERS - CUT)]


def test_an_adapter_below_the_cut_shares_with_nobody_but_itself(make_engine: MakeEngine) -> None:
    base = random_base()
    low = {"low": random_weights(base, [(0, "mlp.up_proj"), (3, "mlp.up_proj")])}
    engine = make_engine(adapters={**above_the_cut("llama"), **low}, cut=CUT)
    engine.generate([EXACT], "a", ONE)
    everything = [len(EXACT) * CUT, len(EXACT) * (NUM_LAYERS - CUT)]
    assert work_of(engine, lambda: engine.generate([EXACT], "low", ONE)) == everything
    assert work_of(engine, lambda: engine.generate([EXACT], "low", ONE)) == [0, BLOCK * (NUM_LAYERS - CUT)]
    digest = engine.resolve_mix("low")[0].adapter
    high_layers_only = (Term(digest, 1.0, frozenset({3})),)
    quiet_below = (Term(digest, (0.0, 1.0, 1.0, 1.0)),)
    for mix in (high_layers_only, quiet_below):
        engine.add(request(str(mix), EXACT, mix, max_tokens=1))
        assert work_of(engine, lambda: drain(engine))[0] == 0


def test_tenants_share_nothing(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=CUT)

    def ask(tenant: bytes, number: int) -> list[int]:
        engine.add(GenerationRequest(str(number), tuple(EXACT), ONE, (constant(()),), tenant))
        return work_of(engine, lambda: drain(engine))

    everything = [len(EXACT) * CUT, len(EXACT) * (NUM_LAYERS - CUT)]
    assert ask(b"one", 1) == everything
    assert ask(b"two", 2) == everything
    assert ask(b"one", 3) == [0, BLOCK * (NUM_LAYERS - CUT)]


def test_a_tenants_users_with_salts_of_their_own_share_nothing_but_their_tenants_turn(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=CUT)

    def ask(tenant: bytes, user: bytes, number: int) -> list[int]:
        asked = GenerationRequest(str(number), tuple(EXACT), ONE, (constant(()),), tenant, cache_salt=user)
        [row] = engine.add(asked)
        flows.add(row.flow)
        return work_of(engine, lambda: drain(engine))

    flows: set[Any] = set()
    everything = [len(EXACT) * CUT, len(EXACT) * (NUM_LAYERS - CUT)]
    salted = [(b"t", b""), (b"t", b"ann"), (b"t", b"bob"), (b"", b"t"), (b"tann", b""), (b"ta", b"nn")]
    assert [ask(*salts, number) for number, salts in enumerate(salted[:3])] == [everything] * 3
    assert len(flows) == 1
    assert [ask(*salts, 10 + number) for number, salts in enumerate(salted[3:])] == [everything] * 3
    again = [ask(*salts, 20 + number) for number, salts in enumerate(salted)]
    assert again == [[0, BLOCK * (NUM_LAYERS - CUT)]] * len(salted)


def test_a_salt_cannot_stand_in_for_an_adapter(make_engine: MakeEngine) -> None:
    """vLLM issue 44701: a name that collides with a salt. Fields of a key are typed, so no value moves between them."""
    engine = make_engine(cut=CUT)
    [term] = engine.resolve_mix("red")
    engine.generate([EXACT], "red", ONE)
    for salt in (term.adapter.encode(), b"red", b"digest" + term.adapter.encode()):
        engine.add(GenerationRequest(salt.hex(), tuple(EXACT), ONE, (constant(()),), salt))
        assert work_of(engine, lambda: drain(engine))[0] == len(EXACT) * CUT


def test_new_weights_under_an_old_name_match_nothing_of_the_old(
    make_engine: MakeEngine, save_adapter: Callable[..., Any]
) -> None:
    """vLLM issues 42125 and 30931: the same name with new weights."""
    engine, fresh = make_engine(adapters=(), cut=CUT), make_engine(adapters=(), cut=CUT)
    adapters = above_the_cut("llama")
    engine.load_adapter(save_adapter(engine.base, "mine", adapters["a"]), "mine")
    engine.generate([EXACT], "mine", request("x", EXACT).params)
    engine.unload_adapter("mine")
    for where in (engine, fresh):
        where.load_adapter(save_adapter(where.base, "mine", adapters["b"]), "mine")
    work = work_of(engine, lambda: engine.generate([EXACT], "mine", ONE))
    assert work == [0, len(EXACT) * (NUM_LAYERS - CUT)]
    outputs = [where.generate([EXACT], "mine", request("x", EXACT).params)[0].token_ids for where in (engine, fresh)]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("history", ["keep", "recompute"])
def test_a_switched_rows_blocks_match_only_the_same_history(make_engine: MakeEngine, history: Any) -> None:
    engine, cold = (
        make_engine(adapters=above_the_cut("llama"), cut=CUT, prefix_cache=cached) for cached in (True, False)
    )
    engine.add(request("switched", EXACT, engine.resolve_mix("a"), max_tokens=20))
    events = [event for _ in range(6) for event in engine.step()]
    engine.switch("switched", "b", history)
    events += drain(engine)
    tokens = [*EXACT, *tokens_of(events)["switched", 0]]
    for name in ("a", "b"):
        params = request("x", tokens, max_tokens=4).params
        assert (
            engine.generate([tokens], name, params)[0].token_ids == cold.generate([tokens], name, params)[0].token_ids
        )


def test_a_full_cache_forgets_the_longest_unused_first(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=CUT, kv_cache_tokens=64)  # sixteen blocks
    old, newer, large = random_prompts([16, 16, 40], seed=9)
    for prompt in (old, newer, large):
        engine.generate([prompt], "red", ONE)
    assert work_of(engine, lambda: engine.generate([newer], "red", ONE))[0] == 0
    assert work_of(engine, lambda: engine.generate([old], "red", ONE))[0] > 0
    assert engine.check_integrity() == []


def test_nothing_is_taken_over_where_the_cache_is_off(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=CUT, prefix_cache=False)
    works = [work_of(engine, lambda: engine.generate([EXACT], "red", ONE)) for _ in range(2)]
    assert works == [[len(EXACT) * CUT, len(EXACT) * (NUM_LAYERS - CUT)]] * 2


def test_a_fork_whose_first_row_is_gone_goes_on_without_it(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=CUT, max_batch_tokens=8)
    red, blue = engine.resolve_mix("red"), engine.resolve_mix("blue")
    [expected] = engine.generate([RAGGED], "blue", request("x", RAGGED).params)
    engine.add(request("fork", RAGGED, red, blue))
    engine.step()
    [leader] = [row for row in engine.scheduler.rows if row.index == 0]
    events = engine.fail_running(RuntimeError("lost"))
    assert leader.finish_reason == "error"
    events += drain(engine)
    assert tuple(tokens_of(events)["fork", 1]) == expected.token_ids
