"""`merge`: one adapter made from several, by TIES, by DARE or as a sum."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adaptrix_core.cli.authoring.exchange import adapters_option, base_option, load_base
from adaptrix_core.cli.authoring.packaging import Packaging, packaging_options
from adaptrix_core.cli.commands.trust import trust_policy
from adaptrix_core.cli.finite_number import FiniteNumber
from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import Range

if TYPE_CHECKING:
    from adaptrix_core.adapters import Adapter

METHOD_NAMES = ("ties", "dare_linear", "dare_ties", "linear")
DENSITIES = Range(0.0, 1.0, above_low=True)


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_adapters)
@click.option("--name", required=True, help="Name of the merged adapter.")
@click.option("--method", type=click.Choice(METHOD_NAMES), default="ties", show_default=True, help="How to merge.")
@click.option("--weights", help="Weights in the order of NAMES, such as 0.7,0.3 [default: equal shares].")
@click.option(
    "--density",
    type=FiniteNumber(DENSITIES),
    default=0.2,
    show_default=True,
    help="Share of entries that TIES and DARE keep.",
)
@click.option("--rank", type=int, help="Largest rank of the merged adapter [default: the sum of the adapters' ranks].")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the entries that DARE keeps.")
@packaging_options
@base_option
@adapters_option
@output_options
@click.pass_obj
def merge(
    session: Session,
    names: tuple[str, ...],
    name: str,
    method: str,
    weights: str | None,
    density: float,
    rank: int | None,
    seed: int,
    packaging: Packaging,
    base_model: str | None,
    adapters: Path,
) -> None:
    """Merge the adapters NAMES into one new adapter.

    It works on whole updates, as PEFT's methods with SVD do: `ties` keeps each update's largest entries and settles
    signs by majority (arXiv:2306.01708), `dare_linear` and `dare_ties` keep random entries (arXiv:2311.03099), `linear`
    adds up. Measure the result before using it: a merged adapter is often worse than each of its parts on their own
    tasks (docs/composition.md). Without --description and --route-example it has those of its parts.
    """
    shares = shares_of(names, weights)
    from adaptrix_core.adapters import AdapterManager, describe
    from adaptrix_core.composition.conflicts.merging import merged

    packaging.check(name, adapters)
    base = load_base(session, base_model)
    manager = AdapterManager(adapters, base, trust_policy(session))
    loaded = [manager.load_adapter(part) for part in names]
    most = rank or sum(adapter.weights.max_rank for adapter in loaded)
    with session.output.waiting(f"merging {len(loaded)} adapters"):
        weights_of_all = merged([a.weights for a in loaded], list(shares.values()), method, most, density, seed)  # type: ignore[arg-type]
    metadata = describe(
        weights_of_all,
        base.info,
        name,
        version=packaging.version,
        license=packaging.license_name,
        description=packaging.description or _described(loaded, method),
        routing_examples=packaging.routing_examples
        or tuple(example for adapter in loaded for example in adapter.metadata.routing_examples),
    )
    saved = manager.save_adapter(
        metadata, weights_of_all, private_key=packaging.private_key, overwrite=packaging.overwrite
    )
    directory = manager.path_of(saved.identity)
    session.output.result(
        {
            "identity": saved.identity,
            "directory": str(directory),
            "rank": saved.rank,
            "method": method,
            "parts": shares,
        },
        lambda out: out.print(f"merged {', '.join(names)} into {saved.identity} at {directory}", markup=False),
    )


def shares_of(names: tuple[str, ...], weights: str | None) -> dict[str, float]:
    """Weight by name of two or more different adapters: as ``--weights`` says, or equal shares."""
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise click.UsageError("name two or more different adapters")
    if weights is None:
        return dict.fromkeys(names, 1 / len(names))
    try:
        given = [float(part) for part in weights.split(",")]
    except ValueError:
        given = [math.nan]
    if not all(map(math.isfinite, given)):
        raise click.UsageError(f"--weights is {weights!r:.80}; give finite numbers such as 0.7,0.3")
    if len(given) != len(names):
        raise InvalidRequest(f"--weights has {len(given)} numbers for {len(names)} adapters; give one for each")
    return dict(zip(names, given, strict=True))


def _described(loaded: list[Adapter], method: str) -> str:
    parts = "; ".join(f"{adapter.identity}: {adapter.metadata.description}" for adapter in loaded)
    return f"Merged by {method}. {parts}"[:10_000]
