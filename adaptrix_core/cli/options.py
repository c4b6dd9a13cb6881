"""Options that many commands share. Their values go into the Session, not into the command's arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from adaptrix_core.cli.session import DEFAULT_URL, Session

Command = TypeVar("Command", bound=Callable[..., Any])


def _store(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        setattr(ctx.ensure_object(Session), field, value)

    return callback


def _config(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    """Read the file at once, so that even commands that need nothing of it report a broken one."""
    session = ctx.ensure_object(Session)
    session.config = value
    if value is not None and ctx.info_name != "serve":  # `serve` reports all faults together
        assert session.settings is not None


def _verbosity(ctx: click.Context, param: click.Parameter, value: int) -> None:
    if value:
        ctx.ensure_object(Session).verbosity = -1 if param.name == "quiet" else value


def output_options(command: Command) -> Command:
    """--json, --config, -v and -q: on every command."""
    decorators = [
        click.option(
            "--json",
            is_flag=True,
            is_eager=True,  # so that errors in the other options are JSON too
            expose_value=False,
            callback=_store("as_json"),
            help="Print the result as one JSON document.",
        ),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            expose_value=False,
            callback=_config,
            help="Settings file: a Ray Serve config whose args are Adaptrix settings, or just the settings.",
        ),
        click.option(
            "-v", "--verbose", count=True, expose_value=False, callback=_verbosity, help="Log more; show tracebacks."
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_verbosity,
            help="Print results and errors only.",
        ),
    ]
    return _apply(command, decorators)


def downgrade_option(command: Command) -> Command:
    """--allow-downgrade: on commands after which a bare name may mean an older version than before."""
    decorator = click.option(
        "--allow-downgrade", is_flag=True, help="Accept that the name without a version then means an older version."
    )
    return _apply(command, [decorator])


def sandbox_option(command: Command) -> Command:
    """--sandbox: on commands that may have to run what a model wrote."""
    decorator = click.option(
        "--sandbox",
        type=click.Choice(["bubblewrap", "process"]),
        help="Where answers that are code are run. process: under limits, but able to read what you can [default: the "
        "settings' security.sandbox].",
    )
    return _apply(command, [decorator])


def target_options(command: Command) -> Command:
    """--url, --api-key and --local: on commands that talk to a server or to a local engine."""
    decorators = [
        click.option(
            "--url",
            envvar="ADAPTRIX_URL",
            default=DEFAULT_URL,
            show_default=True,
            show_envvar=True,
            expose_value=False,
            callback=_store("url"),
            help="URL of the running server.",
        ),
        click.option(
            "--api-key",
            envvar="ADAPTRIX_API_KEY",
            show_envvar=True,
            expose_value=False,
            callback=_store("api_key"),
            help="API key, sent as a bearer token; prefer the environment variable.",
        ),
        click.option(
            "--local",
            is_flag=True,
            expose_value=False,
            callback=_store("local"),
            help="Run an engine in this process instead of asking a server.",
        ),
    ]
    return _apply(command, decorators)


def _apply(command: Command, decorators: list[Callable[[Any], Any]]) -> Command:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
