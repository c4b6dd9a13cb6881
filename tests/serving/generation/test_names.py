"""What the model field and the adaptrix field mean, and who answers where the router decides or an adapter fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from adaptrix_core.errors import (
    AdapterNotFound,
    AdapterRejected,
    AdaptrixError,
    InvalidRequest,
    Overloaded,
    UnknownExtension,
)
from adaptrix_core.injection.mix import Term
from deployments.callers.principal import LOCAL
from deployments.generation.model_names import Choice, NamedMix, choose
from deployments.generation.resolve import ADAPTER_TROUBLE, ResolvedRequest, resolve, without_broken_adapter
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import View
from deployments.shared.entry import Entry
from deployments.shared.token_calls import DetokenizeCall, TokenizeCall, Tokenized
from deployments.shared.wire import RouteAnswer

BASE = "org/base"
CATALOGUE = View(
    (
        Entry("math", "1.9", "A" * 64, "a" * 64),
        Entry("math", "1.10", "B" * 64, "b" * 64),
        Entry("logic", "1.0.0", "C" * 64, "c" * 64),
        Entry("pending", "1.0.0", "D" * 64, "d" * 64, staged=True),
    ),
)


def bundles(model: str, **options: object) -> list[tuple[tuple[str, float], ...]]:
    choice = choose(model, BASE, CATALOGUE, **options)  # type: ignore[arg-type]
    return [tuple((term.adapter[0], term.weight) for term in mix.bundles) for mix in choice.mixes]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("org/base", ()),
        ("math", (("b", 1.0),)),
        ("math@1.9", (("a", 1.0),)),
        ("org/base:math@1.10", (("b", 1.0),)),
        ("math*0.7+logic*0.3", (("b", 0.7), ("c", 0.3))),
        ("org/base:math*-0.5 + logic", (("b", -0.5), ("c", 1.0))),
    ],
)
def test_every_spelling_of_model(model: str, expected: tuple[tuple[str, float], ...]) -> None:
    assert bundles(model) == [expected]


def test_auto_is_left_to_the_router_and_falls_back_while_names_do_not() -> None:
    assert choose("auto", BASE, CATALOGUE) == Choice(True, (), "base")
    assert choose("auto", BASE, CATALOGUE, fallback="error") == Choice(True, (), "error")
    math = NamedMix((Term(CATALOGUE.entries[1]),))
    asks: list[tuple[str, dict[str, Any]]] = [
        ("math", {}),
        (BASE, {"mix": [Term("math")]}),
        ("auto", {"fork": ["math"]}),
    ]
    for model, asked in (*asks, (BASE, {"composition": {"parallel": ["math"]}})):
        assert choose(model, BASE, CATALOGUE, **asked) == Choice(False, (math,), "error")
        assert choose(model, BASE, CATALOGUE, **asked, fallback="base") == Choice(False, (math,), "base")


def test_mix_and_fork_come_from_the_body() -> None:
    assert bundles("auto", mix=(Term("math", 0.5), Term("logic", 2.0))) == [(("b", 0.5), ("c", 2.0))]
    assert bundles(BASE, fork=["math", None, "math*0.5+logic*0.5"]) == [
        (("b", 1.0),),
        (),
        (("b", 0.5), ("c", 0.5)),
    ]
    assert bundles(BASE, fork=[BASE, f"{BASE}:logic"]) == [(), (("c", 1.0),)]


@pytest.mark.parametrize("name", ["mth", "logik", "org/base:mathh", "pending", "math@2.0", "nothing-like-it"])
def test_unknown_names_are_refused_with_what_is_known(name: str) -> None:
    with pytest.raises(AdapterNotFound) as caught:
        choose(name, BASE, CATALOGUE)
    assert repr(name) in caught.value.message
    assert "math" in caught.value.message or "logic" in caught.value.message
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("asked", "meant", "param"),
    [
        ({"model": "autos"}, "'auto'", "model"),
        ({"model": "org/bass"}, "'org/base'", "model"),
        ({"model": "org/bass*1+math*1"}, "'org/base'", "model"),
        ({"model": "org/base:math*1+logik*1"}, "'logic'", "model"),
        ({"mix": [Term("math"), Term("logik")]}, "'logic'", "adaptrix.mix"),
        ({"mix": [Term("org/bass")]}, "'org/base'", "adaptrix.mix"),
        ({"composition": {"parallel": ["org/bass"]}}, "'org/base'", "adaptrix.compose"),
        ({"fork": ["org/bass"]}, "'org/base'", "model"),
        ({"fork": ["org/bass*1+math*1"]}, "'org/base'", "model"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_one_that_its_field_could_hold(
    asked: dict[str, Any], meant: str, param: str
) -> None:
    with pytest.raises(AdapterNotFound, match=f"did you mean {meant}") as caught:
        choose(**{"model": BASE, "base_id": BASE, "view": CATALOGUE, **asked})
    assert caught.value.param == param


def test_a_fork_is_not_told_of_auto_which_it_cannot_hold() -> None:
    with pytest.raises(AdapterNotFound) as caught:
        choose("auto", BASE, CATALOGUE, fork=["autos"])
    assert "'auto'" not in caught.value.message


@pytest.mark.parametrize(
    ("model", "options", "param"),
    [
        ("math*heavy", {}, "model"),
        ("math*0.5+math*0.5", {}, "model"),
        ("math*nan", {}, "model"),
        ("math*100", {}, "model"),
        ("math*1[x]", {}, "model"),
        ("math*1[1,2]+math*1[2,3]", {}, "model"),
        ("auto", {"mix": ()}, "adaptrix.mix"),
        ("auto", {"mix": (Term("math", (1.0, 9.0)),)}, "adaptrix.mix"),
        ("auto", {"mix": (Term("math", 1.0, frozenset({-1})),)}, "adaptrix.mix"),
        ("math", {"mix": (Term("logic"),)}, "adaptrix.mix"),
        ("math", {"fork": ["logic"]}, "adaptrix.fork"),
        ("auto", {"mix": (Term("math"),), "fork": ["logic"]}, "adaptrix"),
        ("math", {"composition": {"parallel": ["logic"]}}, "adaptrix.compose"),
        ("auto", {"composition": {"parallel": ["logic"]}, "fork": []}, "adaptrix"),
        ("auto", {"composition": {}}, "adaptrix.compose"),
        ("auto", {"fork": []}, "adaptrix.fork"),
        ("auto", {"fork": ["auto"]}, "adaptrix.fork"),
    ],
)
def test_contradictions_name_their_field(model: str, options: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choose(model, BASE, CATALOGUE, **options)  # type: ignore[arg-type]
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("model", "options", "param"),
    [
        ("math*0.5+math@1.10*0.5", {}, "model"),
        ("math*0.5+math@latest*0.5", {}, "model"),
        ("auto", {"mix": (Term("math@1.10", 0.5), Term("math", 0.5))}, "adaptrix.mix"),
    ],
)
def test_a_mix_names_no_package_twice_however_it_is_spelled(model: str, options: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest, match="twice") as caught:
        choose(model, BASE, CATALOGUE, **options)  # type: ignore[arg-type]
    assert caught.value.param == param


def test_two_versions_of_one_adapter_may_be_mixed() -> None:
    assert bundles("math@1.9*0.5+math@1.10*0.5") == [(("a", 0.5), ("b", 0.5))]


def test_headers_say_who_answers() -> None:
    (mix,) = choose("math*0.7+logic*0.3", BASE, CATALOGUE).mixes
    assert mix.label == "math*0.7+logic*0.3"
    assert mix.package_digests == "B" * 64 + "+" + "C" * 64
    assert choose(BASE, BASE, CATALOGUE).mixes[0].label == "base"


def test_layers_and_weights_of_layers_reach_the_replica() -> None:
    written = choose("math*0.7[3,1]+logic", BASE, CATALOGUE).mixes[0]
    assert written.bundles == (Term("b" * 64, 0.7, frozenset({1, 3})), Term("c" * 64))
    assert written.label == "math*0.7[1,3]+logic*1"
    terms = (Term("math", (0.5, 1.0), frozenset({0})), Term("math@1.10", 2.0, frozenset({1})))
    (asked,) = choose("auto", BASE, CATALOGUE, mix=terms).mixes
    assert asked.bundles == (Term("b" * 64, (0.5, 1.0), frozenset({0})), Term("b" * 64, 2.0, frozenset({1})))


# --- who answers ------------------------------------------------------------------------------------------------------

ASK = {"messages": [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "2 + 2?"}]}
MATH = RouteAnswer((Term("math", 0.5, frozenset({1})), Term("logic")), {"math": 0.8}, 0.81239, 0.9, "near")


class Untouched:
    """A tokenizer that nobody needs."""

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        raise AssertionError(call)

    async def detokenize(self, call: DetokenizeCall) -> str:
        raise AssertionError(call)


NOBODY = Untouched()


class Decided:
    """A router that answers or raises what it was given, and notes what it is asked."""

    def __init__(self, outcome: RouteAnswer | Exception) -> None:
        self._outcome = outcome
        self.asked: list[tuple[Sequence[dict[str, str]], bytes]] = []

    async def route(self, messages: Any, salt: bytes = b"", explained: bool = False) -> RouteAnswer:
        self.asked.append((messages, salt))
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    async def has_to_be_asked(self) -> bool:
        return True


async def resolved(router: Decided | None = None, model: str = "auto", **adaptrix: Any) -> ResolvedRequest:
    body = ChatRequest.model_validate({"model": model, **ASK, "adaptrix": adaptrix or None})
    return await resolve(body, BASE, CATALOGUE, router, NOBODY, LOCAL)


async def test_named_mixes_and_forks_are_resolved_without_the_router() -> None:
    router = Decided(AssertionError())
    for asked, labels, kind in (
        ({"model": "math"}, ["math"], "math"),
        ({"model": "math*0.5+logic"}, ["math*0.5+logic*1"], "mix"),
        ({"model": BASE}, ["base"], "base"),
        ({"mix": {"logic": 0.5}}, ["logic*0.5"], "logic"),
        ({"compose": {"parallel": ["logic"]}}, ["logic"], "logic"),
        ({"fork": ["math", None]}, ["math", "base"], "fork"),
    ):
        found = await resolved(router, **asked)
        assert [mix.label for mix in found.mixes] == labels
        assert found.label == ",".join(labels)
        assert found.kind == kind
        assert found.fallback == "error"
        assert (await resolved(router, **asked, fallback="base")).fallback == "base"
    assert router.asked == []


async def test_the_routers_choice_answers_with_its_weights_and_layers_and_its_score_is_told() -> None:
    router = Decided(MATH)
    found = await resolved(router)
    assert found.mixes[0].bundles == (Term("b" * 64, 0.5, frozenset({1})), Term("c" * 64))
    assert len(found.mixes) == 1
    assert found.fallback == "base"
    assert found.headers() == {
        "x-adaptrix-adapter": "math*0.5[1]+logic*1",
        "x-adaptrix-digest": "B" * 64 + "+" + "C" * 64,
        "x-adaptrix-route-score": "0.8124",
    }
    assert (await resolved(router, fallback="error")).fallback == "error"


async def test_the_router_gets_the_messages_under_the_callers_salt() -> None:
    chat, text = Decided(MATH), Decided(MATH)
    await resolved(chat)
    body = CompletionRequest.model_validate({"model": "auto", "prompt": "2 + 2?"})
    await resolve(body, BASE, CATALOGUE, text, NOBODY, LOCAL)
    system, user = {"role": "system", "content": "be brief"}, {"role": "user", "content": "2 + 2?"}
    assert chat.asked == [([system, user], LOCAL.salt)]
    assert text.asked == [([user], LOCAL.salt)]


async def test_an_estimator_that_nobody_has_is_refused_before_anything_is_asked() -> None:
    router = Decided(MATH)
    with pytest.raises(UnknownExtension) as refused:
        await resolved(router, scores=["guess"])
    assert refused.value.param == "adaptrix.scores"
    assert router.asked == []


async def test_without_a_router_the_base_model_answers_and_says_why() -> None:
    found = await resolved(None)
    assert found.mixes == (NamedMix(),)
    assert found.fallback == "base"
    assert found.headers() == {
        "x-adaptrix-adapter": "base",
        "x-adaptrix-digest": "",
        "x-adaptrix-fallback": "the router is switched off",
    }


@pytest.mark.parametrize(
    ("failure", "code"), [(Overloaded("too many texts"), "overloaded"), (KeyError("x"), "internal_error")]
)
async def test_where_the_router_fails_the_base_model_answers_unless_the_request_forbids_it(
    failure: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = await resolved(Decided(failure))
    [logged] = caplog.messages
    assert found.mixes == (NamedMix(),)
    assert found.fallback == "base"
    assert found.route is None
    assert found.trouble.startswith(f"router: {code}: ")
    with pytest.raises(AdaptrixError) as raised:
        await resolved(Decided(failure), fallback="error")
    assert raised.value.code == code
    assert found.trouble == f"router: {code}: {raised.value.message}"
    assert logged.endswith(f"the router failed: {raised.value.message}")


async def test_a_request_that_the_router_finds_invalid_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        await resolved(Decided(InvalidRequest("empty")))


async def test_where_a_routed_adapter_has_left_the_catalogue_the_base_model_answers_unless_the_request_forbids_it() -> (
    None
):
    gone = RouteAnswer((Term("math"), Term("maths")), {}, 0.7, 0.9, "near")
    found = await resolved(Decided(gone))
    assert found.mixes == (NamedMix(),)
    assert found.route is gone
    assert found.fallback == "base"
    assert found.trouble == "maths: no longer in the catalogue"
    with pytest.raises(AdapterNotFound, match="'maths'"):
        await resolved(Decided(gone), fallback="error")


def error_of(kind: type[AdaptrixError], bundle: str | None = None) -> AdaptrixError:
    error = kind("cannot be used")
    error.bundle_digest = bundle
    return error


FORKS = choose("auto", BASE, CATALOGUE, fork=["math", None, "math*0.5+logic*0.5", "logic"]).mixes


@pytest.mark.parametrize("kind", ADAPTER_TROUBLE)
@pytest.mark.parametrize(
    ("bundle", "labels"),
    [
        ("c" * 64, ["math", "base", "base", "base"]),
        ("b" * 64, ["base", "base", "base", "logic"]),
        (None, ["base"] * 4),
    ],
)
def test_the_base_model_takes_the_place_of_the_adapter_at_fault_alone(
    kind: type[AdaptrixError], bundle: str | None, labels: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    asked = ResolvedRequest(FORKS, "base", MATH, ("earlier",))
    found = without_broken_adapter(asked, error_of(kind, bundle))
    assert [mix.label for mix in found.mixes] == labels
    first = "math*0.5+logic*0.5" if bundle == "c" * 64 else "math"
    assert found.troubles == ("earlier", f"{first}: {kind.code}: cannot be used")
    assert (found.fallback, found.route) == ("base", MATH)
    replaced = [mix.label for mix in FORKS if mix not in found.mixes]
    assert caplog.messages == [f"the base model answers in place of {replaced}: cannot be used"]


@pytest.mark.parametrize(
    ("fallback", "mixes", "error"),
    [
        ("error", FORKS, error_of(AdapterRejected)),
        ("base", FORKS, error_of(Overloaded)),
        ("base", FORKS, error_of(AdapterRejected, "d" * 64)),
        ("base", (NamedMix(),), error_of(AdapterRejected)),
    ],
    ids=["not allowed", "not of an adapter", "of no adapter that was asked for", "nothing but the base model"],
)
def test_an_error_that_the_base_model_cannot_mend_is_raised(
    fallback: Any, mixes: tuple[NamedMix, ...], error: AdaptrixError
) -> None:
    with pytest.raises(AdaptrixError) as raised:
        without_broken_adapter(ResolvedRequest(mixes, fallback), error)
    assert raised.value is error


def test_all_troubles_fit_into_one_header() -> None:
    found = ResolvedRequest((NamedMix(),), "base", troubles=("Größe\nfalsch", "x" * 600))
    assert found.trouble == "Größe falsch; " + "x" * (512 - 14)
    assert found.headers()["x-adaptrix-fallback"] == "Gr??e falsch; " + "x" * (512 - 14)


@pytest.mark.parametrize(
    ("adapter", "fields", "answers"),
    [
        ("logic", {}, "logic"),
        ("logic", {"tool_choice": "required"}, "logic"),
        ("logic@1.0.0", {}, "logic"),
        ("logic", {"tool_choice": "none"}, "math*0.5[1]+logic*1"),
        ("logic", {"tools": None}, "math*0.5[1]+logic*1"),
        ("unknown", {}, "math*0.5[1]+logic*1"),
        (None, {}, "math*0.5[1]+logic*1"),
    ],
)
async def test_auto_goes_to_the_adapter_for_tools_where_functions_may_be_called(
    adapter: str | None, fields: dict[str, Any], answers: str
) -> None:
    tools = [{"type": "function", "function": {"name": "now"}}]
    body = ChatRequest.model_validate({"model": "auto", **ASK, "tools": tools, **fields})
    router = Decided(MATH)
    found = await resolve(body, BASE, CATALOGUE, router, NOBODY, LOCAL, adapter)
    assert found.label == answers
    assert bool(router.asked) is (answers != "logic")
    named = body.model_copy(update={"model": "math"})
    assert (await resolve(named, BASE, CATALOGUE, router, NOBODY, LOCAL, adapter)).label == "math"
