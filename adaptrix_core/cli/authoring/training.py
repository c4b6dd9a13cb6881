"""`train`: an adapter from examples."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adaptrix_core.cli.authoring.layers import LayerList
from adaptrix_core.cli.authoring.publication import Publication
from adaptrix_core.cli.finite_number import FiniteNumber
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from adaptrix_core.training.config import TrainConfig
    from adaptrix_core.training.result import TrainResult

DEFAULT_BASE = "smollm2-135m"
EXAMPLES_OF_DATA = 16
"""Questions of the training data that become routing examples where none are given."""
PUBLISH_OPTIONS = ("version", "description", "examples_of_use", "license_name", "overwrite", "sign", "key")
"""Options of `Publication.of`; all others are fields of the training's configuration."""
OF_PUBLISH = "--version, --description, --route-example, --license, --overwrite and --sign need --publish"


@click.command()
@click.argument("name")
@click.option(
    "--data",
    required=True,
    help="A task family, a JSONL file, or gsm8k, code-alpaca, reclor (also as NAME:PATH of a local copy).",
)
@click.option("--base", "base_model", help="Base model to train on [default: the one of --config, smollm2-135m].")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Working directory [default: runs/NAME]."
)
@click.option(
    "--layers",
    type=LayerList(fractions=True),
    help="Layers to adapt: indices or fractions of the depth, such as 10,14,18.",
)
@click.option("--modules", help="Modules to adapt, such as self_attn.q_proj,mlp.up_proj [default: all seven].")
@click.option("--rank", type=int, help="LoRA rank of every adapted module [default: 64].")
@click.option("--alpha", type=FiniteNumber(), help="LoRA alpha; the scaling is alpha / rank [default: twice the rank].")
@click.option("--examples", type=int, help="Most examples used [default: 2000].")
@click.option(
    "--held-out",
    type=FiniteNumber(),
    help="Share of the examples, below 1, that is not trained on, to report the loss on [default: 0.05].",
)
@click.option("--max-tokens-per-example", type=int, help="Longer examples are left out [default: 1024].")
@click.option("--epochs", type=FiniteNumber(), help="Passes over the examples [default: 2].")
@click.option("--batch-size", type=int, help="Examples per step [default: 16].")
@click.option("--pack-tokens", type=int, help="Most tokens computed at once, of several examples [default: 512].")
@click.option("--learning-rate", type=FiniteNumber(), help="Peak learning rate [default: 0.001].")
@click.option("--seed", type=int, help="Seed of the initial weights and of the order of examples [default: 0].")
@click.option(
    "--init-from",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Working directory of an earlier run to start from (same layers, modules and rank).",
)
@click.option("--checkpoint-every", type=int, help="Steps between checkpoints; a killed run resumes from the last one.")
@click.option("--threads", type=int, help="CPU threads [default: torch's choice].")
@click.option("--gradient-checkpointing", is_flag=True, default=None, help="Less memory, more time.")
@click.option(
    "--reuse-trunk/--no-reuse-trunk",
    default=None,
    help="Compute the layers below the adapted ones once per example, and keep their states.",
)
@click.option(
    "--publish",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the adapter directory that is served to PUBLISH/NAME, with the run's settings in its metadata.",
)
@click.option("--version", help="With --publish [default: 1.0.0].")
@click.option("--description", help="With --publish: what it is for; the router reads this [task family: its own].")
@click.option(
    "--route-example",
    "examples_of_use",
    multiple=True,
    help="With --publish: a prompt it is for; repeatable [task family: its own; else from the data].",
)
@click.option(
    "--examples-of-data",
    type=click.IntRange(0, 256),
    default=EXAMPLES_OF_DATA,
    show_default=True,
    help="With --publish, where no prompts are given: so many questions that it was trained on go into its metadata, "
    "for the router and for all to read; 0 for none.",
)
@click.option("--license", "license_name", help="With --publish: SPDX id of the adapter's licence [unspecified].")
@click.option("--overwrite", is_flag=True, help="With --publish: replace this version if it is there.")
@click.option("--sign", is_flag=True, help="With --publish: sign it with your key (--key names another).")
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Private key for --sign.")
@output_options
@click.pass_obj
def train(
    session: Session,
    /,
    name: str,
    output: Path | None,
    base_model: str | None,
    modules: str | None,
    publish: Path | None,
    examples_of_data: int,
    **options: Any,
) -> None:
    """Train adapter NAME on chosen layers of a frozen base model.

    The working directory gets a PEFT adapter, a report with the loss curve, and the examples that were held out. A run
    that is cut off (Ctrl-C too) goes on when the same command is given again; one that has ended is not trained again,
    so adding --publish to its command publishes it.
    """
    of_publish = {option: options.pop(option) for option in PUBLISH_OPTIONS}
    if publish is None and any(value for option, value in of_publish.items() if option != "key"):
        raise click.UsageError(OF_PUBLISH)
    if of_publish["key"] is not None and not of_publish["sign"]:
        raise click.UsageError("--key needs --sign")
    from adaptrix_core.training.config import TrainConfig

    configured = session.settings.base
    base_name = base_model or (configured.model if session.config is not None else DEFAULT_BASE)
    lineage = configured.lineage if base_model is None and session.config is not None else None
    given = {option: value for option, value in options.items() if value is not None}
    if modules is not None:
        given["modules"] = tuple(module.strip() for module in modules.split(","))
    config = TrainConfig(name=name, output_dir=output or Path("runs") / name, base_model=base_name, **given)
    publication = None if publish is None else Publication.of(name, config.data, publish, **of_publish)
    if publication is not None:
        publication.check(config.output_dir)
    result = _trained(session, config, lineage, publication, examples_of_data)
    session.output.result(_summary(result, publication), partial(_show, name, result, publication))


def _trained(
    session: Session, config: TrainConfig, lineage: str | None, publication: Publication | None, examples_of_data: int
) -> TrainResult:
    """Train, or go on, and write the adapter directory where one is wanted."""
    console = session.output.progress_console()
    with session.output.waiting("starting"):
        from adaptrix_core.base import BaseModelManager
        from adaptrix_core.training.examples.data import GivenData
        from adaptrix_core.training.run import read_data
        from adaptrix_core.training.run import train as run_training
    data = read_data(config, console)
    with session.output.waiting(f"loading {config.base_model}"):
        base = BaseModelManager(config.base_model, precision="fp32", lineage=lineage).load_model()
    session.output.note(
        f"a checkpoint every {config.checkpoint_every} steps in {config.output_dir}; the same command resumes the run"
    )
    with _one_interrupt_stops() as should_stop:
        result = run_training(config, base, console, data=data, should_stop=should_stop)
    if publication is not None:
        trained_on = data.sides(base, config)[0] if isinstance(data, GivenData) else ()
        if examples := publication.made_examples(trained_on, examples_of_data):
            session.output.note(
                f"{len(examples)} questions of the training data become routing examples, for all to read"
            )
            publication = replace(publication, routing_examples=examples)
        with session.output.waiting(f"publishing {config.name}"):
            publication.write(result.directory, base, config)
    return result


def _summary(result: TrainResult, publication: Publication | None) -> dict[str, Any]:
    """The result as JSON, without the curve, which the report in the working directory has."""
    summary = {field: value for field, value in asdict(result).items() if field not in ("steps", "validation")}
    summary |= {"directory": str(result.directory), "num_steps": len(result.steps), "final_loss": result.final_loss}
    summary["validation"] = [{"steps": entry.steps, "loss": entry.loss} for entry in result.validation]
    summary["published"] = None if publication is None else str(publication.target)
    return summary


def _show(name: str, result: TrainResult, publication: Publication | None, out: Console) -> None:
    from adaptrix_core.training.run_report import verdict

    out.print(_headline(name, result), markup=False)
    if verdict(result):
        out.print(verdict(result), markup=False)
    out.print(f"layers {', '.join(map(str, result.layers))}, {result.trainable_parameters} parameters", markup=False)
    reused = result.trunk_layer_tokens_reused
    out.print(f"trunk: {reused} layer-tokens reused, about {result.trunk_seconds_saved:.0f} s saved", markup=False)
    out.print(f"PEFT directory, report and loss curve: {result.directory}", markup=False)
    for line in _next_steps(name, result, publication):
        out.print(line, markup=False)


def _headline(name: str, result: TrainResult) -> str:
    total = len(result.steps)
    trained = f"{name}: {total} steps, final loss {result.final_loss:.4f}"
    if result.first_step == total:
        return f"{trained}; this run had ended before, so nothing was trained (other settings, or --output, train anew)"
    return f"{trained}; resumed after step {result.first_step}" if result.first_step else trained


def _next_steps(name: str, result: TrainResult, publication: Publication | None) -> Iterator[str]:
    if publication is None:
        yield "publish it: the same command with --publish adapters --sign; nothing is trained again"
        return
    yield f"adapter directory: {publication.target}"
    if publication.private_key is None:
        yield f"not signed: `adaptrix sign {publication.target}` before a server that requires it"
    held_out = result.directory / "held_out.jsonl"
    if result.num_held_out:
        yield f"measure it: adaptrix evaluate {name} --data {held_out} --adapters {publication.target.parent}"
    yield f"serve it: adaptrix publish {publication.target} (a running server, which has to trust your public key)"


@contextmanager
def _one_interrupt_stops() -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM lets the step end and keeps it; a second one ends at once."""
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        click.echo("stopping after this step; once more ends at once", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
