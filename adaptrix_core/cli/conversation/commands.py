"""The commands of a conversation: their names, arguments and actions.

A command that fails raises AdaptrixError and leaves the conversation unchanged.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from adaptrix_core.cli.conversation import sampling
from adaptrix_core.cli.conversation.completion import PATH
from adaptrix_core.errors import AdaptrixError, InvalidRequest

if TYPE_CHECKING:
    from adaptrix_core.cli.conversation.talk import Talk

SUFFIX = ".json"
"""Suffix for a file name without one."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Command:
    """One slash command."""

    name: str
    takes: str
    """Its argument for the help text; in brackets if optional, empty if there is none."""
    meaning: str
    act: Callable[[Talk, str], None]
    suggests: str = ""
    """Completions of the argument: models, settings or path."""

    @property
    def usage(self) -> str:
        """The command with its argument, as it is typed."""
        return f"{self.name} {self.takes}".strip()


def run_command(talk: Talk, entry: str) -> None:
    """Run a typed command. Raises AdaptrixError: an unknown command, a bad argument, or the command's own error."""
    name, _, argument = entry.partition(" ")
    argument = argument.strip()
    command = next((known for known in COMMANDS if known.name == name), None)
    if command is None:
        near = difflib.get_close_matches(name, [known.name for known in COMMANDS], n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "/help lists the commands"
        raise InvalidRequest(f"no command {name!r}; {hint} A question that begins with / is typed after a space")
    if argument and not command.takes:
        raise InvalidRequest(f"{name} takes no argument, {argument!r} was given; type {name} alone")
    if not argument and command.takes and not command.takes.startswith("["):
        raise InvalidRequest(f"{name} needs an argument: {command.usage}")
    command.act(talk, argument)


def _use(talk: Talk, model: str) -> None:
    talk.check_model(model)
    talk.dialogue.use(model=model)
    talk.output.note(f"talking to {model}")


def _adapters(talk: Talk, _: str) -> None:
    rows = talk.adapters()
    talk.output.note("\n".join(f"{row.name}@{row.version}  {row.description}" for row in rows) or "none")


def _set(talk: Talk, argument: str) -> None:
    name, _, text = argument.partition(" ")
    text = text.strip()
    now = talk.dialogue.sampling()
    if not name:
        talk.output.note("\n".join(f"{known:<20}{_shown(now.get(known))}" for known in sampling.NAMES))
        return
    sampling.check_name(name)
    if not text:
        allowed = sampling.described(name)
        talk.output.note(f"{name} is {_shown(now.get(name))}; it may be {allowed}, or default")
        return
    value = None if text in sampling.DEFAULT_WORDS else sampling.sampling_value(name, text)
    talk.dialogue.use(**sampling.fields({name: value}))
    talk.output.note(f"{name} is {_shown(value)}")


def _system(talk: Talk, text: str) -> None:
    if not text:
        talk.output.note(talk.dialogue.system or "no system message")
        return
    talk.dialogue.system = None if text == "none" else text
    talk.output.note("no system message from now on" if text == "none" else "system message set")


def _again(talk: Talk, _: str) -> None:
    talk.again()


def _undo(talk: Talk, _: str) -> None:
    turn = talk.undo()
    talk.output.note(f"taken back: {_line(turn.question)}")


def _reset(talk: Talk, _: str) -> None:
    talk.begin_anew(talk.opening_system, ())
    talk.output.note("forgotten")


def _history(talk: Talk, _: str) -> None:
    lines = [f"system: {talk.dialogue.system}"] if talk.dialogue.system else []
    for turn in talk.dialogue.turns:
        lines += [f"> {turn.question}", turn.answer]
    talk.output.note("\n".join(lines) or "nothing was said yet")


def _save(talk: Talk, name: str) -> None:
    from adaptrix_core.cli.conversation.transcript import save

    path = _path(name)
    _on_disk(path, lambda: save(talk.dialogue, path))
    talk.output.note(f"saved {len(talk.dialogue.turns)} answers in {path}")


def _export(talk: Talk, name: str) -> None:
    from adaptrix_core.cli.conversation.exported import write_export

    path = _path(name)
    _on_disk(path, lambda: write_export(talk.dialogue, talk.memory.left_out, path))
    talk.output.note(f"wrote {len(talk.dialogue.turns)} answers to {path}, with who gave them and when")


def _forget(talk: Talk, number: str) -> None:
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidRequest(f"/forget takes the number of an answer, not {number!r}; the first one is 1")
    turn = talk.forget(int(number))
    talk.output.note(f"forgotten: {_line(turn.question)}")


def _load(talk: Talk, name: str) -> None:
    from adaptrix_core.cli.conversation.transcript import read_transcript

    path = _path(name)
    loaded = _on_disk(path, lambda: read_transcript(path))
    model = loaded.model
    try:
        talk.check_model(model)
    except AdaptrixError as error:
        model = talk.dialogue.template.model
        talk.output.warn(f"{error.message}; going on with {model}")
    talk.dialogue.use(model=model, **sampling.fields({**dict.fromkeys(sampling.NAMES), **loaded.sampling}))
    talk.begin_anew(loaded.system, loaded.turns)
    talk.output.note(f"loaded {len(loaded.turns)} answers, talking to {model}; /history shows them")


def _help(talk: Talk, _: str) -> None:
    talk.output.note(help_text())


def _quit(talk: Talk, _: str) -> None:
    talk.leave()


def help_text() -> str:
    """Every command, and how to type several lines."""
    width = max(len(command.usage) for command in COMMANDS) + 3
    lines = [f"{command.usage:<{width}}{command.meaning}" for command in COMMANDS]
    return "\n".join([*lines, KEYS])


KEYS = '''\
Enter sends. Alt-Enter, or a backslash before Enter, begins another line; so do three quotes, until """ ends them.
Ctrl-C stops an answer, Ctrl-D leaves, Ctrl-R searches what was asked before, Tab completes.'''

COMMANDS = (
    Command(
        "/use", "MODEL", "answer with MODEL from now on: auto, base, an adapter, or a mix a*0.7+b*0.3", _use, "models"
    ),
    Command("/adapters", "", "list the adapters", _adapters),
    Command("/set", "[NAME [VALUE]]", "show or change how answers are sampled; VALUE default unsets", _set, "settings"),
    Command("/system", "[TEXT]", "show or change the system message; none removes it", _system),
    Command("/again", "", "ask the last question again, in place of its answer", _again),
    Command("/undo", "", "take the last question and its answer back", _undo),
    Command("/history", "", "show the conversation so far", _history),
    Command("/save", "FILE", "write the conversation to FILE (JSON)", _save, PATH),
    Command("/load", "FILE", "go on with the conversation in FILE", _load, PATH),
    Command("/export", "FILE", "write all that is remembered to FILE, for the Python library", _export, PATH),
    Command("/forget", "N", "forget answer N and its question; the first one is 1", _forget),
    Command("/reset", "", "forget the conversation", _reset),
    Command("/help", "", "this text", _help),
    Command("/quit", "", "leave", _quit),
    Command("/exit", "", "leave", _quit),
)


def _path(name: str) -> Path:
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # ~nobody
        raise InvalidRequest(f"{name}: {error}") from error
    return path if path.suffix or path.exists() else path.with_name(path.name + SUFFIX)


def _on_disk(path: Path, action: Callable[[], Result]) -> Result:
    """The result of ``action``; errors of the file system become ours."""
    try:
        return action()
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise InvalidRequest(str(error)) from error


def _shown(value: object) -> str:
    return "default" if value is None else json.dumps(value, ensure_ascii=False)


def _line(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
