"""The adapters in `adapters/`, as they are shipped: signed, small, made for the default base, and of use.

What they answer in the running system is tested in `serving/cluster/test_default_system.py`.
"""

from __future__ import annotations

import pytest

from adaptrix_core.adapters import AdapterManager, TrustPolicy
from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.routing.prompts import suggested_cards
from tests.serving.servers import PROJECT

ADAPTERS = PROJECT / "adapters"
SHIPPED = sorted(path.parent.name for path in ADAPTERS.glob("*/metadata.json"))
TRUST = TrustPolicy("require", trusted_keys_dir=ADAPTERS / "trusted_keys")
MAX_BYTES = 8_000_000


def test_there_is_one_adapter_for_each_family_that_the_router_knows() -> None:
    assert set(SHIPPED) == set(suggested_cards())


@pytest.mark.parametrize("name", SHIPPED)
def test_its_signature_is_by_the_key_beside_it(name: str) -> None:
    assert TRUST.check(AdapterManager(ADAPTERS).snapshot(name)).signer == "adaptrix"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_directory_is_small(name: str) -> None:
    assert sum(file.stat().st_size for file in (ADAPTERS / name).iterdir()) < MAX_BYTES


@pytest.mark.parametrize("name", SHIPPED)
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
    assert (adapter.name, adapter.signer, adapter.warnings) == (name, "adaptrix", ())
    assert all(
        point.lora_a.isfinite().all() and point.lora_b.isfinite().all() and point.lora_b.any()
        for point in adapter.weights.points.values()
    )
