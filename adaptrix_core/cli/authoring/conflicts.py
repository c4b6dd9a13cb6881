"""`conflicts`: whether adapters get along in a mix, by their weights and by what becomes of their answers."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adaptrix_core.cli.authoring.merge import shares_of
from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from adaptrix_core.adapters import Adapter
    from adaptrix_core.engine import Engine

WEIGHT_SCORES = ("cosine", "sign_conflict", "input_overlap", "output_overlap")


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_adapters)
@click.option("--weights", help="Weights of the mix, in the order of NAMES, such as 0.7,0.3 [default: equal shares].")
@click.option("--no-answers", is_flag=True, help="Compare weights only; nothing is generated.")
@click.option(
    "--adapters",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of adapters [default: the settings'].",
)
@output_options
@click.pass_obj
def conflicts(
    session: Session, names: tuple[str, ...], weights: str | None, no_answers: bool, adapters: Path | None
) -> None:
    """Say whether the adapters NAMES get along in a mix.

    Each pair's weights: cosine of the updates, share of large entries with different signs, overlap of main directions.
    Then what the mix does to the answers that each adapter gives alone, on its own routing examples: by how much they
    become less likely (nats per token), and the share of their tokens that stay the likeliest. How well each foretells
    the accuracy that a mix loses stands in docs/composition.md. What was measured is kept by digests, so a mix is
    measured once. Runs an engine of its own.
    """
    mix = shares_of(names, weights)
    settings = session.settings
    if adapters is not None:
        settings = settings.model_copy(
            update={"adapters": settings.adapters.model_copy(update={"dir": adapters.resolve()})}
        )
    from adaptrix_core.engine.build import build_engine
    from adaptrix_core.training.evaluation.interference import loaded_adapters

    with session.output.waiting("starting an engine"):
        engine = build_engine(settings)
    loaded = loaded_adapters(engine, names)
    document: dict[str, Any] = {"mix": mix, "pairs": _pairs(loaded)}
    if not no_answers:
        with session.output.waiting("measuring what the mix does to answers"):
            document["answers"] = _answers(engine, loaded, mix)
    session.output.result(document, lambda out: _print(out, document))


def _pairs(loaded: Mapping[str, Adapter]) -> list[dict[str, Any]]:
    from adaptrix_core.composition.conflicts.weight_conflict import weight_conflict

    return [
        {"adapters": [one, other], **weight_conflict(loaded[one].weights, loaded[other].weights).to_json()}
        for one, other in combinations(loaded, 2)
    ]


def _answers(engine: Engine, loaded: Mapping[str, Adapter], mix: Mapping[str, float]) -> dict[str, Any]:
    from adaptrix_core.training.evaluation.interference import InterferenceMeter

    prompts = {name: adapter.metadata.routing_examples for name, adapter in loaded.items()}
    return InterferenceMeter(engine, prompts).measure(mix).to_json()


def _print(out: Console, document: Mapping[str, Any]) -> None:
    from adaptrix_core.cli.output import table

    rows = [
        (" + ".join(pair["adapters"]), str(pair["points"]), *(f"{pair[score]:.3f}" for score in WEIGHT_SCORES))
        for pair in document["pairs"]
    ]
    out.print(table(("weights of", "common points", *(score.replace("_", " ") for score in WEIGHT_SCORES)), rows))
    if "answers" not in document:
        return
    measured = [
        (f"{name} * {document['mix'][name]:g}", str(effect["tokens"]), f"{effect['loss_rise']:+.3f}",
         f"{effect['tokens_kept']:.0%}")
        for name, effect in document["answers"]["effects"].items()
    ]  # fmt: skip
    out.print(table(("answers of", "tokens", "less likely by (nats/token)", "tokens kept"), measured))
    out.print(f"conflict of the mix: {document['answers']['score']:.2f} (0 none, 1 all answers lost)", markup=False)
