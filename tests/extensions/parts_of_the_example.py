"""What the parts of `examples/extension_package` do; run by `test_example_package.py`, with the package installed."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForCausalLM, GraniteConfig

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.adapters import AdapterManager, TrustPolicy
from adaptrix_core.base import BaseModel
from adaptrix_core.cli.main import cli
from adaptrix_core.errors import AdapterNotFound, AdapterRejected
from adaptrix_core.extensions import EXTENSION_POINTS
from adaptrix_core.routing.catalogue import suggested
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from tests.serving.inprocess import running
from tests.serving.tiny import World, make_world

PACKAGE = "adaptrix-extras 1.0"
ASK = {"messages": [{"role": "user", "content": "What is 17 + 25?"}], "max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def test_the_package_has_a_part_at_every_point() -> None:
    assert all(entry_points(group=point.group) for point in EXTENSION_POINTS)
    for point in EXTENSION_POINTS:
        theirs = [name for name in point.names() if PACKAGE in [origin.package for origin in point.origins(name)]]
        assert len(theirs) == 1
        assert point.get(theirs[0])


def test_the_command_line_lists_the_parts_and_their_packages() -> None:
    done = CliRunner().invoke(cli, ["extensions", "--json"])
    assert done.exit_code == 0, done.output
    from_there = {part["name"] for part in json.loads(done.stdout) if part["origins"][0]["package"] == PACKAGE}
    assert from_there == {"granite", "zip", "own_words", "layered", "logprob_median", "names"}
    assert PACKAGE in CliRunner().invoke(cli, ["extensions"]).stdout


def test_a_model_of_the_family_is_computed_as_transformers_does() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4}
    factors = {
        "embedding_multiplier": 3.0,
        "logits_scaling": 0.5,
        "residual_multiplier": 0.7,
        "attention_multiplier": 0.3,
    }
    config = GraniteConfig(**sizes, **factors, num_key_value_heads=2, vocab_size=99, initializer_range=0.3)
    module = AutoModelForCausalLM.from_config(config).eval()
    tokens = [5, 17, 3, 42, 8, 77]
    with torch.no_grad():
        wanted = module(torch.tensor([tokens])).logits[0]
    engine = Engine(BaseModel(module, None, "granite", "granite", "0" * 64), trust=TrustPolicy("off"))
    for schedule in ("one_shot", "stepwise"):
        (logits,) = engine.logits([tokens], schedule=schedule)  # type: ignore[arg-type]
        torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)


def test_an_adapter_is_loaded_from_the_source_under_the_same_trust(world: World, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "pack"), "zip", world.shipped)
    location = f"zip://{tmp_path}/pack.zip"
    engine = Engine.from_pretrained(str(world.base_dir), precision="fp32", trust=TrustPolicy("require", world.keys))
    assert engine.load_adapter(f"{location}/math_reasoning").signer is not None
    with pytest.raises(AdapterNotFound, match=r"nothing\.zip"):
        engine.load_adapter(f"zip://{tmp_path}/nothing.zip/math_reasoning")
    strangers = Engine.from_pretrained(str(world.base_dir), precision="fp32", trust=TrustPolicy("require", tmp_path))
    with pytest.raises(AdapterRejected) as refused:
        strangers.load_adapter(f"{location}/math_reasoning")
    assert refused.value.code == "untrusted_key"
    names = [metadata.name for metadata in AdapterManager(location).list_adapters()]
    assert names == ["code_generation", "logical_reasoning", "math_reasoning"]


def test_a_router_counts_the_signal_by_its_weight() -> None:
    embedder = TextEmbedder()
    text = [{"role": "user", "content": "About arithmetic: chain sums, equations, counting legs"}]
    alone = SemanticRouter(embedder, suggested(), signals={"embedding": 1.0}).decide(text)
    both = SemanticRouter(embedder, suggested(), signals={"embedding": 1.0, "own_words": 1.0}).decide(text)
    silent = SemanticRouter(embedder, suggested(), signals={"embedding": 1.0, "own_words": 0.0}).decide(text)
    assert both.scores["math_reasoning"] > alone.scores["math_reasoning"]
    assert silent.scores == pytest.approx(alone.scores)
    assert "named by its words" in both.reason


def test_a_strategy_and_an_estimator_work_in_the_library(world: World) -> None:
    engine = Engine.from_pretrained(str(world.base_dir), precision="fp32", adapters_dir=world.shipped, trust="off")
    layered = {"layered": {"math_reasoning": [0, 2], "code_generation": [2, 4]}}
    params = SamplingParams(max_tokens=4, temperature=0.0, ignore_eos=True, logprobs=0)
    (completion,) = engine.generate(["hi"], layered, params, scores=["logprob_median", "logprob_sum"])  # type: ignore[list-item]
    assert completion.logprobs is not None
    assert completion.scores["logprob_median"] == pytest.approx(median(completion.logprobs))
    assert {(min(term.layers), max(term.layers)) for term in completion.mix if term.layers} == {(0, 1), (2, 3)}


async def test_all_of_them_work_over_http(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, extensions={"endpoint_groups": ["names"]})
    options: dict[str, Any] = {
        "compose": {"layered": {"math_reasoning": [1, 2], "code_generation": [2, 3]}},
        "scores": ["logprob_median"],
    }
    async with running(args) as (http, _):
        assert (await http.get("/v1/names")).text == "code_generation\nlogical_reasoning\nmath_reasoning"
        assert "/v1/names" in (await http.get("/openapi.json")).json()["paths"]
        model = (await http.get("/v1/models")).json()["data"][0]["id"]
        answer = await http.post("/v1/chat/completions", json={**ASK, "model": model, "adaptrix": options})
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "math_reasoning*1[1]+code_generation*1[2]"
        assert answer.json()["choices"][0]["adaptrix"]["scores"]["logprob_median"] < 0
        refused = await http.post(
            "/v1/chat/completions", json={**ASK, "model": model, "adaptrix": {"compose": {"layered": 3}}}
        )
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "adaptrix.compose")


async def test_endpoints_that_the_settings_do_not_name_are_not_there(world: World, tmp_path: Path) -> None:
    async with running(world.settings(adapters={"state_dir": str(tmp_path)})) as (http, _):
        assert (await http.get("/v1/names")).status_code == 404
