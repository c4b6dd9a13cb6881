"""The adapters in `adapters/`, as they are shipped: signed, small, made for the default base, and of use.

What they answer in the running system is tested in `serving/cluster/test_default_system.py`.
"""

from __future__ import annotations

import json

import pytest

from adaptrix_core.adapters import AdapterManager, TrustPolicy
from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.config.sections import RouterSettings
from adaptrix_core.engine import Engine
from adaptrix_core.routing.prompts import suggested_cards
from adaptrix_core.tools.call_form import STATED
from adaptrix_core.tools.toolset import Function, Toolset
from adaptrix_core.training.evaluation.prompting import EngineGenerator, PromptWithTools
from adaptrix_core.training.evaluation.tool_marks import ReadReply
from adaptrix_core.training.tasks.families import FAMILIES
from adaptrix_core.training.tasks.tool_use.family import TOOL_USE
from tests.serving.servers import PROJECT

ADAPTERS = PROJECT / "adapters"
SHIPPED = sorted(path.parent.name for path in ADAPTERS.glob("*/metadata.json"))
TRUST = TrustPolicy("require", trusted_keys_dir=ADAPTERS / "trusted_keys")
MAX_BYTES = 8_000_000
SIGNERS = dict.fromkeys(suggested_cards(), "adaptrix") | {TOOL_USE.name: "adaptrix_tools"}


def test_there_is_one_adapter_for_each_family_and_all_but_that_for_tools_are_known_to_the_router() -> None:
    assert set(SHIPPED) == {*FAMILIES, TOOL_USE.name} == {*suggested_cards(), RouterSettings().for_tools}
    assert AdapterManager(ADAPTERS).get_adapter_metadata(TOOL_USE.name).routing_examples == ()


@pytest.mark.parametrize("name", SHIPPED)
def test_its_signature_is_by_the_key_beside_it(name: str) -> None:
    assert TRUST.check(AdapterManager(ADAPTERS).snapshot(name)).signer == SIGNERS[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_directory_is_small(name: str) -> None:
    assert sum(file.stat().st_size for file in (ADAPTERS / name).iterdir()) < MAX_BYTES


@pytest.mark.parametrize("name", suggested_cards())
def test_it_says_of_itself_what_the_router_is_calibrated_on(name: str) -> None:
    metadata = AdapterManager(ADAPTERS).get_adapter_metadata(name)
    card = suggested_cards()[name]
    assert metadata.description == card["description"]
    assert list(metadata.routing_examples) == card["routing_examples"]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return BaseModelManager("smollm2-135m", "cpu", "fp32").load_model()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_it_loads_for_the_default_base(base: BaseModel, name: str) -> None:
    """Under the strictest trust, and where adapters for other quantisations of the base are refused."""
    adapter = AdapterManager(ADAPTERS, base, TRUST, base_match="exact").load_adapter(name)
    made_for = adapter.metadata.base
    assert (made_for.lineage, made_for.signature, made_for.digest) == (
        base.info.lineage,
        base.info.signature,
        base.info.digest,
    )
    assert (adapter.name, adapter.signer, adapter.warnings) == (name, SIGNERS[name], ())
    assert all(
        point.lora_a.isfinite().all() and point.lora_b.isfinite().all() and point.lora_b.any()
        for point in adapter.weights.points.values()
    )


@pytest.mark.slow
def test_the_adapter_for_tools_calls_by_itself_where_it_helps_and_the_base_does_not() -> None:
    generator = EngineGenerator(Engine.from_pretrained("smollm2-135m", adapters_dir=ADAPTERS, trust=TRUST))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    clock = Toolset((Function("get_time", "The time in a city.", schema),))
    questions = ("What time is it in Rome?", "Thank you very much.")
    prompts = [PromptWithTools([{"role": "user", "content": question}], clock) for question in questions]
    rome, thanks = (ReadReply.of(reply, STATED) for reply in generator.reply(prompts, TOOL_USE.name, 48))
    assert (rome.functions, json.loads(rome.arguments[0])) == (["get_time"], {"city": "Rome"})
    assert (thanks.functions, bool(thanks.text)) == ([], True)
    assert not ReadReply.of(generator.reply(prompts[:1], None, 48)[0], STATED).functions
