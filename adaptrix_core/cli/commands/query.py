"""`query`: ask once, ask a file of prompts, or hold a conversation."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adaptrix_core.cli.confidence.confidence_options import check_together, confidence_options
from adaptrix_core.cli.finite_number import FiniteNumber
from adaptrix_core.cli.names import complete_models
from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.session import Session
from adaptrix_core.request_limits import SAMPLING_RANGES

if TYPE_CHECKING:
    from adaptrix_core.cli.conversation.dialogue import Dialogue
    from adaptrix_core.cli.conversation.log_keeper import LogKeeper
    from adaptrix_core.cli.target import TargetRequest

MAX_TOKENS = 256
LAST = "last"
"""Word for the most recent conversation, in place of an ID."""


class _ContinueTakesAnId(click.Command):
    """``--continue`` takes the word after it only if that is an ID: `--continue "and now?"` asks a question."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default where no ID follows."""
        written: list[str] = []
        for place, argument in enumerate(args):
            if argument == "--":
                written += args[place:]
                break
            follows = args[place + 1] if place + 1 < len(args) else ""
            is_alone = argument in ("--continue", "-c") and not (follows.isdecimal() or follows == LAST)
            written.append(f"--continue={LAST}" if is_alone else argument)
        return super().parse_args(ctx, written)


@click.command(cls=_ContinueTakesAnId)
@click.argument("text", required=False)
@click.option(
    "--model",
    default="auto",
    show_default=True,
    shell_complete=complete_models,
    help="auto, base, an adapter, or a mix such as a*0.7+b*0.3.",
)
@click.option(
    "--compose",
    "composition",
    metavar="JSON",
    help='A composition that answers, such as \'{"parallel": {"a": 1, "b": 1}, "combine": "vote"}\'.',
)
@click.option("--system", help="System message before the conversation.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=MAX_TOKENS, show_default=True, help="Most tokens of an answer."
)
@click.option(
    "--temperature",
    type=FiniteNumber(SAMPLING_RANGES["temperature"]),
    help="0 is greedy, 2 the warmest [default: the adapter's, then the model's].",
)
@click.option(
    "--top-p",
    type=FiniteNumber(SAMPLING_RANGES["top_p"]),
    help="Sample from the likeliest tokens that have this probability together.",
)
@click.option("--seed", type=int, help="Seed of the sampling: equal seeds give equal answers.")
@click.option("--stop", multiple=True, help="Stop at this text; may be given several times.")
@click.option(
    "--schema",
    "schema_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Answer in JSON that satisfies the JSON schema of this file.",
)
@click.option(
    "--anchor",
    type=click.Choice(["layer", "token"]),
    help="With --local: reduce a mix's weights from the layer or token on where it drifts from the base model on the "
    "question, which is computed twice more for that (settings: context).",
)
@confidence_options
@click.option(
    "--continue",
    "-c",
    "continued",
    metavar="[ID]",
    help="Go on with a logged conversation (see adaptrix logs); without ID, with the last one.",
)
@click.option("--no-log", is_flag=True, help="Keep questions and answers out of the log.")
@click.option(
    "--file",
    "prompts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Ask every prompt of a file: one a line (.txt), or JSON objects with prompt or messages (.jsonl).",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="With --file: write answers here.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1, max=1024),
    default=8,
    show_default=True,
    help="With --file: requests under way at once.",
)
@target_options
@output_options
@click.pass_obj
def query(
    session: Session,
    /,
    text: str | None,
    composition: str | None,
    system: str | None,
    schema_file: Path | None,
    continued: str | None,
    no_log: bool,
    prompts: Path | None,
    output: Path | None,
    concurrency: int,
    **sampling: Any,
) -> None:
    """Ask TEXT and stream the answer; without TEXT, hold a conversation (/help lists its commands).

    A conversation at a terminal has history, completion and questions of several lines; from a pipe, every line is one
    question. With --file, answers are JSON lines, in the order of the prompts.
    """
    if prompts is not None and text is not None:
        raise click.UsageError("give TEXT or --file, not both")
    if prompts is not None and continued is not None:
        raise click.UsageError("give --continue or --file, not both")
    if sampling["anchor"] is not None and not session.local:
        raise click.UsageError("--anchor needs --local; a server does not anchor, as its running batch would wait")
    is_anchored, wants_json = sampling["anchor"] is not None, schema_file is not None
    check_together(sampling["min_confidence"], sampling["fallback"], is_anchored, wants_json)
    if output is not None and prompts is None:
        raise click.UsageError("--output needs --file")
    if session.as_json and text is None and prompts is None:
        raise click.UsageError("--json needs TEXT or --file; a conversation has no JSON output")
    if text is not None and not text.strip():
        raise click.UsageError("TEXT is empty; write a question, or leave TEXT out for a conversation")
    from adaptrix_core.cli.target import TargetRequest

    schema = None if schema_file is None else read_schema(schema_file)
    sampling["compose"] = None if composition is None else read_composition(composition)
    template = TargetRequest(messages=(), schema=schema, **sampling)
    if prompts is not None:
        from adaptrix_core.cli.commands.batch import run_batch

        opening = ({"role": "system", "content": system},) if system else ()
        run_batch(session, TargetRequest(messages=opening, schema=schema, **sampling), prompts, output, concurrency)
        return
    dialogue, log = _opened(session, template, system, continued, no_log)
    if text is not None:
        _ask_once(session, dialogue, log, text)
    else:
        from adaptrix_core.cli.conversation.talk import converse

        converse(session, dialogue, log)


def read_schema(path: Path) -> dict[str, Any]:
    """The JSON schema in a file. Raises UsageError where it is not a JSON object."""
    try:
        schema = _json(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{path} is not JSON: {error}", param_hint="--schema") from error
    if not isinstance(schema, dict):
        kind = type(schema).__name__
        raise click.BadParameter(f"{path} holds a {kind}; a JSON schema is an object", param_hint="--schema")
    return schema


def read_composition(text: str) -> dict[str, Any]:
    """The composition that an option gives. Raises BadParameter for anything that is no JSON object."""
    try:
        composition = _json(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{text[:60]!r} is not JSON: {error}", param_hint="--compose") from None
    if not isinstance(composition, dict):
        raise click.BadParameter(f"{text[:60]!r} is not an object: {{strategy: parts}}", param_hint="--compose")
    return composition


def _json(text: str) -> object:
    """The JSON value of a text. Raises ValueError, also for NaN and infinities, which JSON does not have."""
    value = json.loads(text)
    json.dumps(value, allow_nan=False)
    return value


def _opened(
    session: Session, template: TargetRequest, system: str | None, continued: str | None, no_log: bool
) -> tuple[Dialogue, LogKeeper]:
    """The conversation to begin or to continue, and its log keeper."""
    from adaptrix_core.cli.conversation.dialogue import Dialogue
    from adaptrix_core.cli.conversation.log_keeper import LogKeeper
    from adaptrix_core.cli.logs.command import open_log
    from adaptrix_core.cli.logs.logbook import Logbook
    from adaptrix_core.cli.logs.place import log_file

    if continued is not None:
        logged = open_log().conversation(_number(continued))
        dialogue = Dialogue(template, logged.system if system is None else system, list(logged.turns))
        dialogue.use(**_not_given({"model": logged.model, **logged.sampling}))
    else:
        logged, dialogue = None, Dialogue(template, system)
    path = None if no_log else log_file()
    book = None if path is None else Logbook(path)
    return dialogue, LogKeeper(book, session.output, logged.id if logged else None)


def _not_given(fields: dict[str, Any]) -> dict[str, Any]:
    """Those of ``fields`` that the command line leaves out."""
    ctx = click.get_current_context()
    given = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)
    return {name: value for name, value in fields.items() if ctx.get_parameter_source(name) not in given}


def _number(text: str) -> int | None:
    if text == LAST:
        return None
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is not the number of a conversation", param_hint="--continue")
    return int(text)


def _ask_once(session: Session, dialogue: Dialogue, log: LogKeeper, text: str) -> None:
    from adaptrix_core.cli.logs.turn import LoggedTurn
    from adaptrix_core.cli.target import Answer

    async def work(request: TargetRequest) -> Answer:
        async with session.target() as target:
            return await target.chat(request, on_text=session.output.text)

    request = dialogue.asking(text)
    answer = asyncio.run(work(request))
    session.output.result(answer.as_dict(), lambda out: out.print())
    for number, step in enumerate(answer.steps):
        session.output.note(f"step {number} ({step['adapter']}): {step['text'].strip()}")
    session.output.note(answer.footer())
    if request.schema is not None and answer.finish_reason == "length":
        session.output.warn("the answer was cut off, so it is no whole JSON document; raise --max-tokens")
    dialogue.turns.append(LoggedTurn.of(text, request.model, answer))
    log.add(dialogue)
