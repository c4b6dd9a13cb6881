"""`import` and `export`: PEFT directories in and out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adaptrix_core.cli.authoring.layers import LayerList
from adaptrix_core.cli.authoring.packaging import Packaging, packaging_options
from adaptrix_core.cli.commands.benchmark import PROMPTS
from adaptrix_core.cli.commands.trust import trust_policy
from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import AdapterExists, AdapterNotFound, ConfigError, InvalidRequest
from adaptrix_core.writable import why_not_writable

if TYPE_CHECKING:
    from rich.console import Console

    from adaptrix_core.adapters import AdapterMetadata, Snapshot
    from adaptrix_core.adapters.redistribution import RedistributionCost
    from adaptrix_core.base import BaseModel
    from adaptrix_core.injection.lora import LoraWeights

DEFAULT_BASE = "smollm2-135m"
EXAMPLES_OF_DATA = 16
"""Questions of ``--training-data`` that become routing examples."""
base_option = click.option(
    "--base", "base_model", help="Base model of the adapter [default: the settings', smollm2-135m]."
)
adapters_option = click.option(
    "--adapters",
    type=click.Path(file_okay=False, path_type=Path),
    callback=lambda ctx, _param, value: value or _configured_adapters(ctx),
    help="Directory of adapters [default: the settings', the shipped one].",
)


@click.command("import")
@click.argument("source")
@click.option("--name", help="Name of the adapter [default: the directory's].")
@click.option(
    "--training-data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSONL file of its training data: where no --route-example is given, 16 questions of it go into the metadata.",
)
@packaging_options
@click.option(
    "--to-layers",
    type=LayerList(fractions=False),
    help="Move the weights to the nearest of these layers; prints what that costs.",
)
@base_option
@adapters_option
@output_options
@click.pass_obj
def import_adapter(
    session: Session,
    source: str,
    name: str | None,
    packaging: Packaging,
    training_data: Path | None,
    to_layers: tuple[int, ...] | None,
    base_model: str | None,
    adapters: Path,
) -> None:
    """Import the PEFT adapter SOURCE (a directory, org/name[@revision] on the hub, a URL) as an adapter directory."""
    wanted = name or _name_of(source)
    here = _snapshot(session, source) if Path(source).is_dir() else None
    packaging.check(wanted, adapters)
    snapshot = here or _snapshot(session, source)
    with session.output.waiting("checking the files"):
        from adaptrix_core.adapters import AdapterManager
        from adaptrix_core.adapters.peft.conversion import base_warnings, check_peft, import_peft

        check_peft(snapshot)
    examples = packaging.routing_examples or _examples_of(training_data)
    base = load_base(session, base_model)
    warnings = base_warnings(snapshot, base)
    metadata, weights = import_peft(
        snapshot,
        base,
        wanted,
        version=packaging.version,
        description=packaging.description,
        routing_examples=examples,
        license=packaging.license_name,
    )
    cost = None
    if to_layers is not None:
        weights, cost = _moved(session, weights, to_layers, base, examples or PROMPTS)
    manager = AdapterManager(adapters)
    saved = manager.save_adapter(metadata, weights, private_key=packaging.private_key, overwrite=packaging.overwrite)
    _report(session, saved, manager.path_of(saved.identity), packaging.private_key is not None, warnings, cost)


def _moved(
    session: Session, weights: LoraWeights, to_layers: tuple[int, ...], base: BaseModel, prompts: Sequence[str]
) -> tuple[LoraWeights, RedistributionCost]:
    """The weights on other layers, and what that costs on ``prompts``."""
    from adaptrix_core.adapters.redistribution import measure_cost, redistribute
    from adaptrix_core.injection.injector import LayerInjector

    moved = redistribute(weights, to_layers, base)
    injector = LayerInjector(base)
    injector.register_all()
    with session.output.waiting("measuring what moving the layers costs"):
        return moved, measure_cost(weights, moved, base, injector, prompts)


def _examples_of(training_data: Path | None) -> tuple[str, ...]:
    if training_data is None:
        return ()
    from adaptrix_core.training.examples.jsonl import read_jsonl
    from adaptrix_core.training.examples.route_examples import route_examples

    return route_examples(read_jsonl(training_data), EXAMPLES_OF_DATA)


def _report(
    session: Session,
    saved: AdapterMetadata,
    directory: Path,
    is_signed: bool,
    warnings: Sequence[str],
    cost: RedistributionCost | None,
) -> None:
    """Tell what was imported, as JSON or as lines."""
    for warning in warnings:
        session.output.warn(warning)
    payload = {
        "identity": saved.identity,
        "directory": str(directory),
        "layers": list(saved.target_layers),
        "modules": list(saved.target_modules),
        "rank": saved.rank,
        "signed": is_signed,
        "warnings": list(warnings),
        "moved": None if cost is None else cost.to_json(),
    }

    def show(out: Console) -> None:
        layers = ", ".join(map(str, saved.target_layers))
        out.print(f"imported {saved.identity} into {directory}: layers {layers}, rank {saved.rank}", markup=False)
        if cost is not None:
            out.print(_cost_in_words(cost), markup=False)
        if not is_signed:
            out.print(f"not signed: `adaptrix sign {directory}` before a server that requires it", markup=False)

    session.output.result(payload, show)


@click.command("export")
@click.argument("adapter", shell_complete=complete_adapters)
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@base_option
@adapters_option
@output_options
@click.pass_obj
def export_adapter(session: Session, adapter: str, output: Path, base_model: str | None, adapters: Path) -> None:
    """Write ADAPTER, a name, name@version or directory, as a PEFT directory OUTPUT. Its signature is checked first."""
    if output.exists() and any(output.iterdir()):
        raise AdapterExists(f"{output} is not empty; name a new directory")
    unwritable = why_not_writable(output)
    if unwritable is not None:
        raise ConfigError([f"OUTPUT {output}: {unwritable}"])
    from adaptrix_core.adapters import AdapterManager
    from adaptrix_core.adapters.peft.conversion import export_peft

    base = load_base(session, base_model)
    source = Path(adapter) if Path(adapter).is_dir() else adapter
    loaded = AdapterManager(adapters, base, trust_policy(session)).load_adapter(source)
    for warning in loaded.warnings:
        session.output.warn(warning)
    export_peft(loaded.weights, base, output)
    session.output.result(
        {"identity": loaded.identity, "directory": str(output), "package_digest": loaded.package_digest},
        lambda out: out.print(f"exported {loaded.identity} to {output}", markup=False),
    )


def _configured_adapters(ctx: click.Context) -> Path | str:
    return ctx.ensure_object(Session).settings.adapters.dir


def load_base(session: Session, base_model: str | None) -> BaseModel:
    """The base model that ``--base``, else ``--config`` names, as numbers (float32); the embedded one by default."""
    from adaptrix_core.base import BaseModelManager

    if base_model is None and session.config is not None:
        wanted = session.settings.base
        manager = BaseModelManager(wanted.model, wanted.device, wanted.precision, wanted.lineage, "exactness")
    else:
        manager = BaseModelManager(base_model or DEFAULT_BASE, optimize="exactness")
    with session.output.waiting(f"loading {manager.model_name}"):
        return manager.load_model()


def _name_of(source: str) -> str:
    """A name from the last part of a path or of a hub id, in lower case."""
    path = Path(source)
    return (path.resolve().name if path.is_dir() else path.name.partition("@")[0]).lower()


def _snapshot(session: Session, source: str) -> Snapshot:
    """The two files of the PEFT adapter ``source``; an org/name[@revision] that is no directory comes from the hub."""
    from adaptrix_core.adapters.package.file_names import PEFT_CONFIG_FILE, are_peft
    from adaptrix_core.adapters.peft.directory import foreign_kind, peft_snapshot
    from adaptrix_core.adapters.sources.opening import open_directory, scheme_of

    is_local = Path(source).is_dir()
    if not is_local and scheme_of(source) is None and source.partition("@")[0].count("/") != 1:
        raise AdapterNotFound(f"no directory {source!r}, and it is not org/name[@revision] on the hub either")
    location = Path(source) if is_local else source if scheme_of(source) is not None else f"hub://{source}"
    directory = open_directory(location)
    with nullcontext() if is_local else session.output.waiting(f"fetching {source}"):
        names = directory.file_names()
        if are_peft(names):
            return peft_snapshot(directory, origin=source)
    why = foreign_kind(directory, names) or f"it has no {PEFT_CONFIG_FILE}, or is one of ours already"
    said = f"{source} is not a PEFT adapter: {why}"
    raise InvalidRequest(said) if is_local else AdapterNotFound(said)


def _cost_in_words(cost: RedistributionCost) -> str:
    return (
        f"moving the layers was not free: perplexity {cost.perplexity_before:.2f} became {cost.perplexity_after:.2f} "
        f"(without the adapter {cost.base_perplexity:.2f}); the most likely token stayed the same in "
        f"{cost.top_token_agreement:.0%} of {cost.num_tokens} places"
    )
