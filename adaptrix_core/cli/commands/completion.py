"""`completion`: the script that teaches a shell to complete this command."""

from __future__ import annotations

import click

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session

PROGRAM = "adaptrix"
VARIABLE = "_ADAPTRIX_COMPLETE"
"""Environment variable that the script sets for a completion; click then answers instead of running a command."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output_options
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and adapter names in SHELL.

    \b
    bash   eval "$(adaptrix completion bash)"        in ~/.bashrc (bash 4.4 or newer)
    zsh    eval "$(adaptrix completion zsh)"         in ~/.zshrc
    fish   adaptrix completion fish > ~/.config/fish/completions/adaptrix.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # click knows all three
    # Not `source`, which for bash runs the first bash on the PATH, whatever shell asks.
    maker = made(ctx.find_root().command, {}, PROGRAM, VARIABLE)
    script = maker.source_template % maker.source_vars()
    session: Session = ctx.ensure_object(Session)
    session.output.result({"shell": shell, "script": script}, lambda _: click.echo(script))
