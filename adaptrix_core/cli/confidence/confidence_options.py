"""Options on how sure an answer is to be: read, checked before anything is asked, and put into a request's body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from adaptrix_core.confidence.fallbacks import ABSTAIN, WITHOUT_AN_ANSWER, fault_in

if TYPE_CHECKING:
    from adaptrix_core.cli.target import TargetRequest

Command = TypeVar("Command", bound=Callable[..., Any])


def confidence_options(command: Command) -> Command:
    """--confidence, --min-confidence and --fallback."""
    decorators = [
        click.option("--confidence", is_flag=True, help="Tell how sure the answer is, where that is calibrated."),
        click.option(
            "--min-confidence",
            type=float,
            metavar="P",
            callback=_probability,
            help="Give an answer only if it is right with this probability, such as 0.7.",
        ),
        click.option(
            "--fallback",
            metavar="NAME,…",
            callback=_in_turns,
            help="With --min-confidence, what comes after a less sure answer, in turns: again, base, the name of an "
            "adapter, abstain, ask [default: abstain].",
        ),
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def check_together(min_confidence: float | None, fallback: Sequence[str], is_anchored: bool, wants_json: bool) -> None:
    """Raise UsageError for options that do not go together.

    is_anchored: whether the mix is anchored. wants_json: whether the answer has to fit a schema.
    """
    if fallback and min_confidence is None:
        raise click.UsageError("--fallback needs --min-confidence")
    if min_confidence is None:
        return
    if is_anchored:
        raise click.UsageError(
            "--min-confidence needs a mix that is calibrated, and --anchor changes its weights; leave one of them out"
        )
    words = [name for name in fallback or (ABSTAIN,) if name in WITHOUT_AN_ANSWER]
    if wants_json and words:
        raise click.UsageError(
            f"--schema wants JSON, and the fallback {words[0]!r} answers in words; give --fallback others, such as "
            "again,base"
        )


def confidence_fields(request: TargetRequest) -> dict[str, Any]:
    """What a request asks of confidence, as fields of the HTTP body's ``adaptrix`` member."""
    fields: dict[str, Any] = {"confidence": True} if request.confidence else {}
    if request.min_confidence is not None:
        bound = {"at_least": request.min_confidence, "fallback": list(request.fallback)}
        fields["min_confidence"] = bound if request.fallback else request.min_confidence
    return fields


def _probability(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < 1:  # NaN too
        raise click.BadParameter(f"{value:g} is not above 0 and below 1; write a probability, such as 0.7")
    return value


def _in_turns(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    names = tuple(name.strip() for name in value.split(","))
    if (fault := fault_in(names)) is not None:
        raise click.BadParameter(f"{fault}; write such as again,base,abstain")
    return names
