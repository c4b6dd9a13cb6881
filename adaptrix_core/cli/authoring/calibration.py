"""`calibrate`: how far somebody's answers can be trusted, measured and kept as a signed calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adaptrix_core.cli.authoring.calibrated_choice import Terms, check_packages, label_in, own_family
from adaptrix_core.cli.authoring.calibrated_policies import (
    Collects,
    adapters_in,
    fallback_answers,
    fallback_terms,
    policies_asked,
)
from adaptrix_core.cli.authoring.evaluation import SCORER_NAMES
from adaptrix_core.cli.names import complete_models
from adaptrix_core.cli.options import output_options, sandbox_option
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from adaptrix_core.confidence.calibration import ConfidenceCalibration
    from adaptrix_core.engine import Engine
    from adaptrix_core.security.sandbox.run import SandboxKind
    from adaptrix_core.training.calibration.answers import MarkedAnswer
    from adaptrix_core.training.calibration.calibrate import Answerer
    from adaptrix_core.training.calibration.questions import QuestionSet

File = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("name", shell_complete=complete_models)
@click.option("--family", help="Task family whose problems are asked [default: the one that NAME is called like].")
@click.option("--data", type=File, help="A JSONL file of your own examples, in place of a family's problems.")
@click.option(
    "--scorer", type=click.Choice(SCORER_NAMES), help="With --data, when an answer is right [default: exact]."
)
@click.option("--estimator", default="logprob_sum", show_default=True, help="The score that becomes a probability.")
@click.option("--held-out", type=click.IntRange(0, 300), default=200, show_default=True, help="Held-out problems.")
@click.option(
    "--hard", type=click.IntRange(0, 1000), default=200, show_default=True, help="Problems that are too hard."
)
@click.option("--free", type=click.IntRange(0, 1000), default=240, show_default=True, help="Freely worded problems.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="Also measure what is right where these fallbacks answer below the threshold, such as again,base. Repeatable.",
)
@click.option(
    "--max-tokens", type=click.IntRange(1, 4096), default=160, show_default=True, help="Most tokens of an answer."
)
@click.option(
    "--answers", type=File, help="File of answers, from which a run that was cut off goes on [default: in the cache]."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of calibrations [default: the settings'].",
)
@click.option("--key", type=File, help="Private key that signs [default: your own].")
@sandbox_option
@output_options
@click.pass_obj
def calibrate(
    session: Session,
    name: str,
    family: str | None,
    data: Path | None,
    scorer: str | None,
    estimator: str,
    held_out: int,
    hard: int,
    free: int,
    policies: tuple[str, ...],
    max_tokens: int,
    answers: Path | None,
    out: Path | None,
    key: Path | None,
    sandbox: SandboxKind | None,
) -> None:
    """Calibrate the confidence of NAME: the probability that an answer of it is right.

    NAME is an adapter, base, a mix such as a*0.7+b*0.3, or a composition that comes to one mix. Asks problems of a task
    family (held-out ones, harder ones, freely worded ones), or with --data your own examples, marks the answers, and
    fits their scores. The calibration holds for this base model, its layout here and these packages and weights, and is
    signed with your key. Runs an engine of its own; minutes to an hour.
    """
    if family is not None and data is not None:
        raise click.UsageError("give --family or --data, not both")
    if scorer is not None and data is None:
        raise click.UsageError("--scorer needs --data")
    from adaptrix_core.composition.model_strings import mix_named

    terms = mix_named(name, session.settings.base.model)
    wanted = policies_asked(policies)
    private, place = _checked(session, [terms, *map(fallback_terms, adapters_in(wanted))], estimator, key, out)
    code_in = sandbox or session.settings.security.sandbox
    asked = _questions(family or own_family(name, terms), data, scorer or "exact", held_out, hard, free, code_in)
    with session.output.waiting(f"loading {session.settings.base.model}"):
        from adaptrix_core.engine.build import build_engine

        engine = build_engine(session.settings)
    from adaptrix_core.confidence.signed import write_calibration
    from adaptrix_core.training.calibration.calibrate import Answerer, calibrated

    who = Answerer.of(engine, terms, label_in(engine, terms))  # before any answer: what does not fit is refused now
    collect = _collector(session, engine, who, asked, max_tokens, answers, estimator)
    collected = collect(terms, None)
    after = fallback_answers(engine, terms, wanted, collect)
    provenance = {
        "command": f"adaptrix calibrate {name}" + (f" --family {family}" if family else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "questions": dict(asked.described),
        "max_tokens": max_tokens,
    }
    made = calibrated(collected, who, estimator, provenance, after, wanted)
    directory = write_calibration(made, place, private)
    document = {"calibration": str(directory), **made.model_dump(mode="json")}
    session.output.result(document, lambda console: _print(console, made, directory))


def _checked(
    session: Session, mixes: Sequence[Terms], estimator: str, key: Path | None, out: Path | None
) -> tuple[Path, Path]:
    """The key and the directory to write to, after all that could be wrong has been looked at."""
    import sklearn  # noqa: F401 - a missing package is told now, not after an hour

    from adaptrix_core.adapters import AdapterManager, TrustPolicy
    from adaptrix_core.adapters.trust.keys import check_private_key, default_private_key, read_trusted_keys
    from adaptrix_core.confidence.scoring import check_estimators
    from adaptrix_core.confidence.shelf import user_calibrations
    from adaptrix_core.writable import why_not_writable

    settings = session.settings
    private = key or default_private_key()
    fingerprint = check_private_key(private)
    trusted = {one.fingerprint for one in read_trusted_keys(settings.adapters.trusted_keys_dir)}
    if fingerprint not in trusted and out is None:
        session.output.warn(
            f"the public half of {private} is not in {settings.adapters.trusted_keys_dir}: the calibration counts "
            "where it is"
        )
    check_estimators([estimator], param="--estimator")
    place = out or settings.confidence.calibrations_dir or user_calibrations()
    if (fault := why_not_writable(place)) is not None:
        raise ConfigError([f"--out: {fault}"])
    for terms in mixes:
        check_packages(AdapterManager(settings.adapters.dir, None, TrustPolicy.of(settings.adapters)), terms)
    return private, place


def _questions(
    family: str, data: Path | None, scorer: str, held_out: int, hard: int, free: int, sandbox: SandboxKind
) -> QuestionSet:
    from adaptrix_core.training.calibration.questions import data_questions, family_questions

    if data is None:
        return family_questions(family, held_out, hard, free, sandbox)
    from adaptrix_core.training.evaluation.scorers import SCORERS
    from adaptrix_core.training.examples.jsonl import read_jsonl
    from adaptrix_core.training.provenance import described_data

    return data_questions(read_jsonl(data), SCORERS[scorer], {**described_data(str(data)), "scorer": scorer})


def _collector(
    session: Session,
    engine: Engine,
    who: Answerer,
    asked: QuestionSet,
    max_tokens: int,
    path: Path | None,
    estimator: str,
) -> Collects:
    """What collects marked answers, with progress, in one file."""
    from adaptrix_core.cache_dir import cache_root
    from adaptrix_core.confidence.signed import calibration_name
    from adaptrix_core.training.calibration.answers import collect

    kept_in = path or cache_root() / "calibration" / f"{calibration_name(who.name, who.key, who.layout)}.jsonl"
    console = session.output.progress_console()

    def collected(terms: Terms, sampled: int | None) -> list[MarkedAnswer]:
        def asking(tell: Callable[[str], None]) -> list[MarkedAnswer]:
            def told(done: int, total: int) -> None:
                tell(f"{done} of {total} answers")

            return collect(engine, terms or None, asked, max_tokens, kept_in, told, [estimator], sampled)

        if not console.is_terminal:
            return asking(session.output.note)
        with console.status("") as status:
            return asking(status.update)

    return collected


def _print(out: Console, made: ConfidenceCalibration, directory: Path) -> None:
    from adaptrix_core.cli.output import table

    measured = made.measured
    out.print(f"{made.name} on {made.base_lineage}, {made.layout}: {made.method} of {made.estimator}", markup=False)
    rows = [_row("all", measured), *(_row(kind, figures) for kind, figures in measured["kinds"].items())]
    heads = ("questions", "answers", "right", "mean confidence", "AUROC", "PRR", "calibration error", "its floor")
    out.print(table(heads, rows))
    share = made.coverage_at(0.9)
    out.print(f"at 90 % accuracy, {share:.0%} of these answers can be given" if share else "no threshold gives 90 %")
    for policy, curve in made.policies.items():
        most = max((point.coverage for point in curve if point.accuracy >= 0.9), default=0.0)
        out.print(f"with {policy} as the fallback, {most:.0%}", markup=False)
    out.print(f"signed in {directory}", markup=False)


def _row(kind: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    ordered = (
        f"{figures['auroc']:.3f} ({figures['auroc_se']:.3f})" if "auroc" in figures else "",
        f"{figures['prr']:.3f}" if "prr" in figures else "",
    )
    return (
        kind,
        str(figures["answers"]),
        f"{figures['right']:.0%}",
        f"{figures['mean_confidence']:.2f}",
        *ordered,
        f"{figures['ece']:.3f}",
        f"{figures['ece_floor']:.3f}",
    )
