"""`route`: which adapter would answer, and why, without generating."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from rich.console import Console

from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.output import table
from adaptrix_core.cli.session import Session

SHOWN = ("adapter", "score", "confidence", "reason", "previous")


@click.command()
@click.argument("text")
@click.option("--right", metavar="NAME", help="Tell the router that this adapter (or base) should answer TEXT.")
@click.option("--learn", is_flag=True, help="With --right: keep TEXT, too, for the router to learn from (operators).")
@target_options
@output_options
@click.pass_obj
def route(session: Session, text: str, right: str | None, learn: bool) -> None:
    """Explain where TEXT would be routed: scores, threshold and reason.

    An adapter's score (0 to 1) says how probable it is that TEXT is in its scope. The route score of an answer is the
    score of the adapter that was chosen or, where the base model answers, the best adapter's, which was not enough.
    Each signal's vote is shown too: log-odds by adapter, and the weight that they count with.

    With --right the thresholds of your own requests to auto move, within bounds. With --learn the text is kept as well,
    and the signals that judge everybody's messages learn from it.
    """
    if learn and right is None:
        raise click.UsageError("--learn needs --right NAME: who should answer the text")
    messages = [{"role": "user", "content": text}]

    async def work() -> dict[str, Any]:
        async with session.target() as target:
            return await (target.route(messages) if right is None else target.feedback(messages, right, learn))

    decision = asyncio.run(work())
    if right is not None:
        session.output.result(decision, lambda out: show_taken(out, decision))
        return

    def show(out: Console) -> None:
        scores = decision.get("scores") or {}
        ranked = sorted(scores.items(), key=lambda item: item[1], reverse=True)
        for key, value in decision.items():
            if key in SHOWN and value is not None:
                shown = f"{value:.3f}" if isinstance(value, float) else value
                out.print(f"{key}: {shown}", markup=False)
        if ranked:
            out.print(table(("adapter", "score"), [(name, f"{score:.3f}") for name, score in ranked]))
        if len(touches := decision.get("touches") or ()) > 1:
            out.print(f"its parts are for: {', '.join(touches)}", markup=False)
        for number, step in enumerate(decision.get("plan") or (), start=1):
            out.print(f"step {number}: {step['question']!r} goes to {step['adapter']}", markup=False)
        for vote in decision.get("votes") or ():
            odds = {name: f"{vote['log_odds'][name]:+.2f}" for name, _ in ranked if name in vote["log_odds"]}
            said = ", ".join(f"{name} {value}" for name, value in odds.items()) or "nothing"
            why = f" ({vote['reason']})" if vote["reason"] else ""
            out.print(f"signal {vote['signal']}, weight {vote['weight']:g}: {said}{why}", markup=False)

    session.output.result(decision, show)


def show_taken(out: Console, taken: dict[str, Any]) -> None:
    """What a label has changed."""
    out.print(f"noted: {taken['right']} should answer; {taken['decided']} did", markup=False)
    out.print(f"labels of yours that count: {taken['labels']}", markup=False)
    if "learnt" in taken:
        out.print(f"messages that the router has learnt with their text: {taken['learnt']}", markup=False)
    for name, threshold in sorted(taken["thresholds"].items()):
        now = f"{threshold:.3f} (calibrated: {taken['threshold']:.3f})"
        out.print(f"{name} now answers from a score of {now}", markup=False)
