"""`query`: ask once, ask a file of prompts, or hold a conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from adaptrix_core.cli.batch import run_batch
from adaptrix_core.cli.conversation import converse
from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.target import ChatRequest

MAX_TOKENS = 256


@click.command()
@click.argument("text", required=False)
@click.option(
    "--model", default="auto", show_default=True, help="auto, base, an adapter, or a mix such as a*0.7+b*0.3."
)
@click.option("--system", help="System message before the conversation.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=MAX_TOKENS, show_default=True)
@click.option("--temperature", type=click.FloatRange(min=0.0), default=0.0, show_default=True)
@click.option("--top-p", type=click.FloatRange(min=0.0, max=1.0, min_open=True))
@click.option("--seed", type=int)
@click.option("--stop", multiple=True, help="Stop at this text; may be given several times.")
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
    text: str | None,
    model: str,
    system: str | None,
    prompts: Path | None,
    output: Path | None,
    concurrency: int,
    **sampling: Any,
) -> None:
    """Ask TEXT and stream the answer; without TEXT, hold a conversation (one question a line, /help for commands).

    With --file, answers are JSON lines, in the order of the prompts.
    """
    if prompts is not None and text is not None:
        raise click.UsageError("give TEXT or --file, not both")
    if output is not None and prompts is None:
        raise click.UsageError("--output belongs to --file")
    opening = [{"role": "system", "content": system}] if system else []
    template = ChatRequest(messages=opening, model=model, **sampling)
    if prompts is not None:
        run_batch(session, template, prompts, output, concurrency)
    elif text is not None:
        asyncio.run(_ask_once(session, template, text))
    elif session.as_json:
        raise click.UsageError("--json needs TEXT or --file; a conversation is for people")
    else:
        converse(session, template)


async def _ask_once(session: Session, template: ChatRequest, text: str) -> None:
    async with session.target() as target:
        request = template.asking(text)
        answer = await target.chat(request, on_text=session.output.text)
    session.output.result(answer.as_dict(), lambda out: out.print())
    session.output.note(answer.footer())
