"""`compose`: make a composition of adapters, a package of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from adaptrix_core.cli.authoring.exchange import adapters_option
from adaptrix_core.cli.authoring.packaging import Packaging, packaging_options
from adaptrix_core.cli.commands.trust import trust_policy
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import InvalidRequest


@click.command("compose")
@click.argument("name")
@click.option(
    "--parallel",
    metavar="NAME=WEIGHT,…",
    help="Adapters that act at once, each with its weight (1 where none is given); name or name@version.",
)
@click.option(
    "--file",
    "document",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Any other composition: a JSON file with what `adaptrix.compose` takes.",
)
@click.option("--unmeasured", is_flag=True, help="Do not measure what the mix does to its adapters' answers.")
@packaging_options
@adapters_option
@output_options
@click.pass_obj
def compose_adapters(
    session: Session,
    name: str,
    parallel: str | None,
    document: Path | None,
    packaging: Packaging,
    unmeasured: bool,
    adapters: Path,
) -> None:
    """Compose adapters into NAME, a package beside theirs that is used as an adapter is.

    Its parts are the packages that the names mean now, by digest: no other ones are ever computed under NAME. Parts may
    be compositions. `adaptrix publish` sends it to a running server, which must have the parts.

    Adapters that act at once spoil each other's answers. How much is measured first, on their routing examples, and
    told on the composition's card; over `composition.conflict_limit` it is done as `composition.over_limit` says: warn,
    refuse, or resolve, by smaller weights or by one merged adapter in the composition's place. Takes minutes.
    """
    if (parallel is None) == (document is None):
        raise click.UsageError("say how its parts work together: --parallel a=0.5,b=0.5, or --file FILE")
    from adaptrix_core.adapters import AdapterManager
    from adaptrix_core.cli.authoring.composed_conflicts import MergedInstead, settled
    from adaptrix_core.composition.manifests.making import made

    packaging.check(name, adapters)
    fields: dict[str, Any] = {**packaging.fields, "routing_examples": packaging.routing_examples}
    private, overwrite = packaging.private_key, packaging.overwrite
    composition = {"parallel": _weights(parallel)} if parallel is not None else _read(document)
    manager = AdapterManager(adapters, None, trust_policy(session))
    metadata = made(manager, name, composition, **fields)
    ready = metadata if unmeasured else settled(session, manager, metadata, fields)
    if isinstance(ready, MergedInstead):
        saved = manager.save_adapter(ready.metadata, ready.weights, private_key=private, overwrite=overwrite)
        directory = manager.path_of(saved.identity)
    else:
        directory = manager.save_composition(ready, private_key=private, overwrite=overwrite)
    parts = {metadata.identity_of(called): part.package_digest for called, part in metadata.parts.items()}
    how = "merged into" if isinstance(ready, MergedInstead) else "composed"
    said = [f"{how} {metadata.identity} in {directory}: {', '.join(parts)}"]
    if private is None:
        said.append(f"not signed: `adaptrix sign {directory}` before a server that requires it")
    session.output.result(
        {
            "identity": metadata.identity,
            "directory": str(directory),
            "parts": parts,
            "signed": private is not None,
            "merged": isinstance(ready, MergedInstead),
            "conflicts": None if isinstance(ready, MergedInstead) else ready.model_dump(mode="json")["conflicts"],
        },
        lambda out: out.print("\n".join(said), markup=False),
    )


def _weights(text: str) -> dict[str, float]:
    """``a=0.5,b`` as weights by name. Raises UsageError."""
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name in weights or not name:
            raise click.UsageError(f"--parallel {text!r}: every part needs a name of its own; write a=0.5,b=0.5")
        try:
            weights[name] = float(weight) if weight else 1.0
        except ValueError:
            raise click.UsageError(f"--parallel {text!r}: {weight!r} is not a weight; write a=0.5,b=0.5") from None
    return weights


def _read(document: Path | None) -> Mapping[str, Any]:
    assert document is not None
    try:
        composition = json.loads(document.read_text())
    except (ValueError, RecursionError, OSError) as error:
        raise InvalidRequest(f"{document} is not JSON: {error}") from error
    if not isinstance(composition, dict):
        raise InvalidRequest(f'{document} holds no composition; it looks like {{"parallel": {{"a": 0.5, "b": 0.5}}}}')
    return composition
