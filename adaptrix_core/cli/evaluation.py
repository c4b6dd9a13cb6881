"""`evaluate`: how good the adapters are, on held-out problems, beside the base model and the router's choice."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session


@click.command()
@click.argument("names", nargs=-1)
@click.option("--problems", type=int, default=200, show_default=True, help="Held-out problems per adapter.")
@click.option("--shots", type=int, default=4, show_default=True, help="Solved examples for the few-shot base.")
@click.option("--max-tokens", type=int, default=128, show_default=True)
@click.option("--no-router", is_flag=True, help="Measure the base and the adapters only.")
@click.option(
    "--replies",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep replies in this file; a run that was cut off goes on from it.",
)
@click.option("--record", is_flag=True, help="Write the figures into the adapters' metadata, signed with your key.")
@output_options
@click.pass_obj
def evaluate(
    session: Session,
    names: tuple[str, ...],
    problems: int,
    shots: int,
    max_tokens: int,
    no_router: bool,
    replies: Path | None,
    record: bool,
) -> None:
    """Evaluate the adapters NAMES [default: all that the adapter directory holds].

    Per adapter: the base model zero-shot and few-shot, this adapter, each wrong adapter, and the router's choice, with
    95 % confidence intervals; then routing on hand-written paraphrases and on out-of-scope prompts. Runs an engine of
    its own.
    """
    settings = session.settings
    with session.output.waiting("starting a local engine"):
        from adaptrix_core.adapters import AdapterManager, default_private_key
        from adaptrix_core.cli.local import build_router
        from adaptrix_core.engine.build import build_engine
        from adaptrix_core.training.evaluate import EvaluateConfig
        from adaptrix_core.training.evaluate import evaluate as run_evaluation
        from adaptrix_core.training.publish import record_metrics
        from adaptrix_core.training.report import as_json, metrics_of, tables

    if record and not default_private_key().is_file():
        raise click.UsageError(
            f"--record signs, and there is no key at {default_private_key()}; `adaptrix sign --new-key` makes one"
        )
    present = [metadata.name for metadata in AdapterManager(settings.adapters.dir).list_adapters()]
    config = EvaluateConfig(
        adapters=names or tuple(dict.fromkeys(present)),
        problems=problems,
        shots=shots,
        max_tokens=max_tokens,
        replies_file=replies,
    )
    with session.output.waiting(f"loading {settings.base.model}"):
        engine = build_engine(settings)
        router = None if no_router else build_router(settings)
    evaluation = run_evaluation(config, engine, router, session.output.progress_console())
    if record:
        for name in config.adapters:
            record_metrics(engine.manager, name, metrics_of(evaluation, name), default_private_key())

    def show(out: Console) -> None:
        for table in tables(evaluation):
            out.print(table)

    session.output.result(as_json(evaluation), show)
