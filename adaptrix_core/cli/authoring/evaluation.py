"""`evaluate`: how good adapters are, on held-out problems of their tasks or on somebody's own examples."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options, sandbox_option
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

    from adaptrix_core.adapters import AdapterManager, AdapterMetadata
    from adaptrix_core.config import Settings
    from adaptrix_core.engine import Engine
    from adaptrix_core.security.sandbox.run import SandboxKind
    from adaptrix_core.training.evaluation.evaluate import EvaluateConfig
    from adaptrix_core.training.evaluation.prompting import Generator

SCORER_NAMES = ("exact", "contains", "number", "answer")


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_adapters)
@click.option("--data", type=click.Path(dir_okay=False, path_type=Path), help="A JSONL file of your own examples.")
@click.option(
    "--scorer",
    type=click.Choice(SCORER_NAMES),
    help="With --data, when a reply is right: the same text [default: exact], the text somewhere in it, the same "
    "number, the same text after 'Answer:'.",
)
@click.option(
    "--adapters",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of adapters [default: the settings'].",
)
@click.option("--problems", type=int, help="Held-out problems per adapter [200], or examples of --data at most [all].")
@click.option("--shots", type=int, default=4, show_default=True, help="Solved examples for the few-shot base.")
@click.option("--max-tokens", type=int, default=128, show_default=True, help="Most tokens of a reply.")
@click.option("--no-router", is_flag=True, help="Measure the base and the adapters only.")
@click.option(
    "--replies",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep replies in this file; a run that was cut off goes on from it.",
)
@click.option("--record", is_flag=True, help="Write the figures into the adapters' metadata, signed with your key.")
@sandbox_option
@output_options
@click.pass_obj
def evaluate(
    session: Session,
    names: tuple[str, ...],
    data: Path | None,
    scorer: str | None,
    adapters: Path | None,
    problems: int | None,
    shots: int,
    max_tokens: int,
    no_router: bool,
    replies: Path | None,
    record: bool,
    sandbox: SandboxKind | None,
) -> None:
    """Evaluate the adapters NAMES [default: all that the adapter directory holds].

    With --data, any adapter on your own examples, beside the base model: right replies with 95 % confidence intervals,
    and the loss on the written replies. Without it, adapters of a task family: the base model zero-shot and few-shot,
    this adapter, each wrong adapter, and the router's choice; then routing on hand-written paraphrases and on
    out-of-scope prompts. Of tool_use instead: calls of functions that it was not trained on, beside the base model.
    Runs an engine of its own.
    """
    if scorer is not None and data is None:
        raise click.UsageError("--scorer needs --data")
    settings = session.settings
    if adapters is not None:
        settings = settings.model_copy(
            update={"adapters": settings.adapters.model_copy(update={"dir": adapters.resolve()})}
        )
    if record:
        _require_key()
    if replies is not None:
        _require_writable(replies.parent, "--replies")
    with session.output.waiting("looking at the adapters"):
        from adaptrix_core.adapters import AdapterManager, TrustPolicy

        wanted = settings.adapters
        trust = TrustPolicy.of(wanted)
        manager = AdapterManager(wanted.dir, None, trust)
        for name in names:  # unknown and untrusted ones are refused before a model is loaded
            trust.check(manager.snapshot(name))
            if record:
                _require_recordable(manager, name)
    if data is not None:
        _on_data(session, settings, manager, names, data, scorer or "exact", problems, max_tokens, replies, record)
    else:
        code_in = sandbox or settings.security.sandbox
        _on_families(
            session, settings, manager, names, problems or 200, shots, max_tokens, no_router, replies, record, code_in
        )


def _require_key() -> None:
    from adaptrix_core.adapters.trust.keys import check_private_key, default_private_key

    if not default_private_key().is_file():
        raise click.UsageError(
            f"--record signs, and there is no key at {default_private_key()}; `adaptrix sign --new-key` makes one"
        )
    check_private_key(default_private_key())


def _require_writable(place: Path, option: str) -> None:
    from adaptrix_core.writable import why_not_writable

    fault = why_not_writable(place)
    if fault is not None:
        raise ConfigError([f"{option}: {fault}"])


def _require_recordable(manager: AdapterManager, name: str) -> AdapterMetadata:
    """The metadata that figures are written into. Raises ConfigError where they cannot be."""
    from adaptrix_core.adapters import AdapterMetadata

    metadata = manager.get_adapter_metadata(name)
    if not isinstance(metadata, AdapterMetadata):
        raise ConfigError(
            [f"--record: {metadata.identity} is a composition, which keeps no figures; leave --record out"]
        )
    _require_writable(manager.path_of(name), "--record")
    return metadata


def _on_data(
    session: Session,
    settings: Settings,
    manager: AdapterManager,
    names: tuple[str, ...],
    data: Path,
    scorer: str,
    most: int | None,
    max_tokens: int,
    replies: Path | None,
    record: bool,
) -> None:
    from adaptrix_core.training.examples.jsonl import read_jsonl

    conversations = read_jsonl(data, most)
    chosen = names or tuple(dict.fromkeys(metadata.name for metadata in manager.list_adapters()))
    from adaptrix_core.training.evaluation.data_evaluation import data_table, evaluate_data
    from adaptrix_core.training.evaluation.scorers import SCORERS
    from adaptrix_core.training.provenance import described_data

    engine = _engine(session, settings)
    for name in chosen:  # before the base's replies, which take minutes: an adapter that does not fit is refused now
        engine.load_adapter(name)
    with _spoken_progress(session) as say:
        scores = evaluate_data(
            engine, conversations, chosen, SCORERS[scorer], _generator(engine, replies), max_tokens, on_condition=say
        )
    described = described_data(str(data))
    figures = {name: {"scorer": scorer, **result.as_json()} for name, result in scores.items()}
    if record:
        for name in chosen:
            known = _require_recordable(engine.manager, name).performance_metrics
            mine = {**described, "base": figures["base"], "adapter": figures[name]}
            _record(engine, name, {**known, "on_data": mine})
    session.output.result(
        {"data": described, "examples": len(conversations), "scorer": scorer, "conditions": figures},
        lambda out: out.print(data_table(scores, described["name"], scorer)),
    )


def _on_families(
    session: Session,
    settings: Settings,
    manager: AdapterManager,
    names: tuple[str, ...],
    problems: int,
    shots: int,
    max_tokens: int,
    no_router: bool,
    replies: Path | None,
    record: bool,
    sandbox: SandboxKind,
) -> None:
    from adaptrix_core.training.tasks.families import FAMILIES
    from adaptrix_core.training.tasks.tool_use.family import TOOL_USE

    present = dict.fromkeys(metadata.name for metadata in manager.list_adapters())
    for name in [] if names else [name for name in present if name not in (*FAMILIES, TOOL_USE.name)]:
        session.output.warn(f"{name} belongs to no task family; measure it with `adaptrix evaluate {name} --data FILE`")
    chosen = names or tuple(name for name in present if name in (*FAMILIES, TOOL_USE.name))
    with_problems = tuple(name for name in chosen if name != TOOL_USE.name)
    config = None
    if with_problems or not chosen:  # without any, it says which names there are
        config = _family_config(with_problems, problems, shots, max_tokens, replies, sandbox)
        config.check_sandbox()  # before a model is loaded
    engine = _engine(session, settings)
    measured = [] if config is None else [_family_figures(session, settings, config, engine, no_router)]
    if TOOL_USE.name in chosen:
        measured.append(_tool_figures(session, engine, problems, max_tokens, replies))
    for figures in measured if record else ():
        for name, metrics in figures.metrics.items():
            _record(engine, name, metrics)

    def show(out: Console) -> None:
        for figures in measured:
            for table in figures.tables:
                out.print(table)

    session.output.result({name: value for figures in measured for name, value in figures.json.items()}, show)


@dataclass(frozen=True)
class Measured:
    """Figures of an evaluation: for programs, for people, and for the metadata of each adapter."""

    json: dict[str, Any]
    tables: list[Table]
    metrics: dict[str, dict[str, Any]]


def _family_config(
    adapters: tuple[str, ...], problems: int, shots: int, max_tokens: int, replies: Path | None, sandbox: SandboxKind
) -> EvaluateConfig:
    from adaptrix_core.training.evaluation.evaluate import EvaluateConfig

    return EvaluateConfig(
        adapters=adapters,
        problems=problems,
        shots=shots,
        max_tokens=max_tokens,
        replies_file=replies,
        sandbox=sandbox,
    )


def _family_figures(
    session: Session, settings: Settings, config: EvaluateConfig, engine: Engine, no_router: bool
) -> Measured:
    """Families of problems with an answer."""
    from adaptrix_core.cli.local_routing import build_router
    from adaptrix_core.training.evaluation.evaluate import evaluate as run_evaluation
    from adaptrix_core.training.evaluation.report import as_json, metrics_of, tables

    with session.output.waiting("loading the router"):
        router = None if no_router else build_router(settings)
    evaluation = run_evaluation(config, engine, router, session.output.progress_console())
    metrics = {name: metrics_of(evaluation, name) for name in config.adapters}
    return Measured(as_json(evaluation), tables(evaluation), metrics)


def _tool_figures(session: Session, engine: Engine, problems: int, max_tokens: int, replies: Path | None) -> Measured:
    """The family of conversations with functions."""
    from adaptrix_core.training.evaluation.tool_evaluation import evaluate_tools, tool_tables
    from adaptrix_core.training.tasks.tool_use.family import TOOL_USE

    name = TOOL_USE.name
    engine.load_adapter(name)  # before the base's replies: an adapter that does not fit is refused now
    with _spoken_progress(session) as say:
        evaluation = evaluate_tools(
            TOOL_USE, [name], _generator(engine, replies), engine.base.calls.form, problems, max_tokens, say
        )
    return Measured({name: evaluation.as_json()}, tool_tables(evaluation), {name: evaluation.metrics_of(name)})


def _engine(session: Session, settings: Settings) -> Engine:
    from adaptrix_core.engine.build import build_engine

    with session.output.waiting(f"loading {settings.base.model}"):
        return build_engine(settings)


def _generator(engine: Engine, replies: Path | None) -> Generator:
    from adaptrix_core.training.evaluation.evaluate import generator_of

    return generator_of(engine, replies)


def _record(engine: Engine, name: str, metrics: dict[str, Any]) -> None:
    from adaptrix_core.adapters import default_private_key
    from adaptrix_core.training.publish import record_metrics

    record_metrics(engine.manager, name, metrics, default_private_key())


@contextmanager
def _spoken_progress(session: Session) -> Iterator[Callable[[str], None]]:
    """A spinner with changing words on a terminal, a line each elsewhere."""
    console = session.output.progress_console()
    if not console.is_terminal:
        yield lambda message: session.output.note(message)
        return
    with console.status("") as status:
        yield status.update
