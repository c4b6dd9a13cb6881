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
from adaptrix_core.injection.mix import Term

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
@click.option("--sign", is_flag=True, help="Keep the measurement, signed, for servers and engines to go by.")
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Private key for --sign.")
@output_options
@click.pass_obj
def conflicts(
    session: Session,
    names: tuple[str, ...],
    weights: str | None,
    no_answers: bool,
    adapters: Path | None,
    sign: bool,
    key: Path | None,
) -> None:
    """Say whether the adapters NAMES get along in a mix.

    Each pair's weights: cosine of the updates, share of large entries with different signs, overlap of main directions;
    each adapter's: how far the mix's update is from its own, in lengths of that.
    Then what the mix does to the answers that each adapter gives alone, on its own routing examples: by how much they
    become less likely (nats per token), and the share of their tokens that stay the likeliest. How well each foretells
    the accuracy that a mix loses stands in docs/composition.md. What was measured is kept by digests, so a mix is
    measured once. With --sign the measurement is written to `composition.conflicts_dir`, where servers and engines find
    it, together with the weights that resolving would leave. Runs an engine of its own.
    """
    if key is not None and not sign:
        raise click.UsageError("--key needs --sign")
    if sign and no_answers:
        raise click.UsageError("--sign keeps what becomes of answers; leave out --no-answers")
    from adaptrix_core.adapters.trust.keys import check_private_key, default_private_key

    private = (key or default_private_key()) if sign else None
    if private is not None:
        check_private_key(private)
    mix = shares_of(names, weights)
    settings = session.settings
    if adapters is not None:
        settings = settings.model_copy(
            update={"adapters": settings.adapters.model_copy(update={"dir": adapters.resolve()})}
        )
    from adaptrix_core.engine.build import build_engine
    from adaptrix_core.training.evaluation.interference import loaded_adapters
    from adaptrix_core.training.evaluation.mix_measurement import unguarded

    with session.output.waiting("starting an engine"):
        engine = build_engine(unguarded(settings))
    loaded = loaded_adapters(engine, names)
    document: dict[str, Any] = {"mix": mix, "pairs": _pairs(loaded), "displacement": _displacement(loaded, mix)}
    if not no_answers:
        with session.output.waiting("measuring what the mix does to answers"):
            document["answers"] = _answers(engine, loaded, mix)
    if private is not None:
        document |= _signed(session, engine, mix, private)
    session.output.result(document, lambda out: _print(out, document))


def _pairs(loaded: Mapping[str, Adapter]) -> list[dict[str, Any]]:
    from adaptrix_core.composition.conflicts.weight_conflict import weight_conflict

    return [
        {"adapters": [one, other], **weight_conflict(loaded[one].weights, loaded[other].weights).to_json()}
        for one, other in combinations(loaded, 2)
    ]


def _displacement(loaded: Mapping[str, Adapter], mix: Mapping[str, float]) -> dict[str, float]:
    from adaptrix_core.composition.conflicts.weight_conflict import displacement

    terms = [(adapter.weights, Term(name, mix[name]).weight_at) for name, adapter in loaded.items()]
    return {name: displacement(adapter.weights, terms) for name, adapter in loaded.items()}


def _answers(engine: Engine, loaded: Mapping[str, Adapter], mix: Mapping[str, float]) -> dict[str, Any]:
    from adaptrix_core.training.evaluation.interference import InterferenceMeter

    prompts = {name: adapter.metadata.routing_examples for name, adapter in loaded.items()}
    return InterferenceMeter(engine, prompts).measure(mix).to_json()


def _signed(session: Session, engine: Engine, mix: Mapping[str, float], private: Path) -> dict[str, Any]:
    """The measurement, kept where the settings say; its directory, and the weights that resolving leaves."""
    from adaptrix_core.composition.conflicts.shelf import user_measurements
    from adaptrix_core.composition.conflicts.signed_mix import write_measurement
    from adaptrix_core.training.evaluation.mix_measurement import measured_mix

    with session.output.waiting("measuring whose attention is disturbed"):
        measured = measured_mix(engine, mix)
    place = session.settings.composition.conflicts_dir or user_measurements()
    reduced = {part.identity: part.reduced for part in measured.parts}
    return {"kept": str(write_measurement(measured, place, private)), "reduced": reduced}


def _print(out: Console, document: Mapping[str, Any]) -> None:
    from adaptrix_core.cli.output import table
    from adaptrix_core.composition.conflicts.expected_loss import expected_loss

    rows = [
        (" + ".join(pair["adapters"]), str(pair["points"]), *(f"{pair[score]:.3f}" for score in WEIGHT_SCORES))
        for pair in document["pairs"]
    ]
    out.print(table(("weights of", "common points", *(score.replace("_", " ") for score in WEIGHT_SCORES)), rows))
    moved = [
        (f"{name} * {document['mix'][name]:g}", f"{value:.2f}") for name, value in document["displacement"].items()
    ]
    out.print(table(("weights of", "displaced in the mix by (own lengths)"), moved))
    if "answers" not in document:
        return
    measured = [
        (f"{name} * {document['mix'][name]:g}", str(effect["tokens"]), f"{effect['loss_rise']:+.3f}",
         f"{effect['tokens_kept']:.0%}", f"{expected_loss(effect['displacement']):.0%}")
        for name, effect in document["answers"]["effects"].items()
    ]  # fmt: skip
    columns = ("answers of", "tokens", "less likely by (nats/token)", "tokens kept", "expected to be lost")
    out.print(table(columns, measured))
    score = document["answers"]["score"]
    out.print(f"conflict of the mix: {score:.2f} (0 none, 1 all right answers lost)", markup=False)
    if "kept" in document:
        reduced = ", ".join(f"{identity} {weight:.3g}" for identity, weight in document["reduced"].items())
        out.print(f"weights after resolving: {reduced}\nsigned in {document['kept']}", markup=False)
