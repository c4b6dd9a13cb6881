"""`train-gate`: a gate over adapters, learned from examples, as a composition with a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adaptrix_core.cli.authoring.exchange import adapters_option, base_option, load_base
from adaptrix_core.cli.authoring.packaging import Packaging, packaging_options
from adaptrix_core.cli.commands.trust import trust_policy
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import AdapterExists

if TYPE_CHECKING:
    from adaptrix_core.adapters import AdapterManager
    from adaptrix_core.training.examples.conversation import LearntConversation

WAY_NAMES = ("choice", "shares")


@click.command("train-gate")
@click.argument("name")
@click.option("--parallel", required=True, metavar="NAME,…", help="The adapters that it weighs; name or name@version.")
@click.option(
    "--data",
    "sources",
    multiple=True,
    required=True,
    help="What it learns from, as for `train`; may be given several times: a source for each adapter, say.",
)
@click.option(
    "--examples", type=click.IntRange(1, 10_000), default=70, show_default=True, help="Most examples of each source."
)
@click.option(
    "--way",
    type=click.Choice(WAY_NAMES),
    default="choice",
    show_default=True,
    help="choice: each token to the one adapter that answers such questions best; shares: adapters added up by shares "
    "that make the answers likeliest.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of examples and what is drawn.")
@packaging_options
@base_option
@adapters_option
@output_options
@click.pass_obj
def train_gate(
    session: Session,
    name: str,
    parallel: str,
    sources: tuple[str, ...],
    examples: int,
    way: str,
    seed: int,
    packaging: Packaging,
    base_model: str | None,
    adapters: Path,
) -> None:
    """Learn a gate over adapters, and write it as composition NAME beside them.

    The gate decides for every token how much each adapter counts, by what the token is at each layer. NAME is used as
    an adapter is; it holds the gate's numbers, and its parts by digest: the gate is for these adapters alone.
    """
    names = [part.strip() for part in parallel.split(",")]
    if len(set(names)) < 2 or len(set(names)) < len(names) or not all(names):
        raise click.UsageError(f"--parallel {parallel!r}: name two or more different adapters, such as a,b")
    from adaptrix_core.adapters import AdapterManager
    from adaptrix_core.composition.manifests.making import made

    packaging.check(name, adapters)
    fields: dict[str, Any] = {**packaging.fields, "routing_examples": packaging.routing_examples}
    composition = {"parallel": names, "combine": "gate"}
    catalogue = AdapterManager(adapters, None, trust_policy(session))
    planned = made(catalogue, name, composition, **fields)
    _require_free(catalogue, planned.identity, packaging.overwrite)
    private = packaging.private_key
    if private is not None:
        catalogue.check_signer(name, packaging.version, private)
    conversations = _read(session, sources, examples, seed)
    base = load_base(session, base_model)
    manager = AdapterManager(adapters, base, trust_policy(session))
    weights = {part: manager.load_adapter(part).weights for part in names}
    with session.output.progress_console().status("the gate") as status:
        from adaptrix_core.adapters.gates.gate_file import gate_metadata
        from adaptrix_core.training.gates.gate_learning import learn_gate

        gate, training = learn_gate(base, weights, conversations, way, seed, status.update)  # type: ignore[arg-type]
    metadata = made(catalogue, name, composition, gate=gate_metadata(gate, training), **fields)
    directory = manager.save_composition(metadata, gate, private_key=private, overwrite=packaging.overwrite)
    said = [f"learned {metadata.identity} from {training['examples']} examples, in {directory}"]
    if private is None:
        said.append(f"not signed: `adaptrix sign {directory}` before a server that requires it")
    session.output.result(
        {
            "identity": metadata.identity,
            "directory": str(directory),
            "training": training,
            "signed": private is not None,
        },
        lambda out: out.print("\n".join(said), markup=False),
    )


def _require_free(catalogue: AdapterManager, identity: str, overwrite: bool) -> None:
    """Raise AdapterExists now rather than after the training."""
    if not overwrite and any(known.identity == identity for known in catalogue.list_adapters()):
        raise AdapterExists(f"{identity} is there already; give the new one another version, or --overwrite")


def _read(session: Session, sources: tuple[str, ...], examples: int, seed: int) -> list[LearntConversation]:
    with session.output.waiting("reading the examples"):
        from adaptrix_core.training.examples.datasets import load_conversations

        return [one for source in sources for one in load_conversations(source, examples, seed)]
