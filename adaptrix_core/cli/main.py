"""Entry point of the `adaptrix` command: the group, its commands, logging. Heavy packages load inside the commands."""

from __future__ import annotations

import logging

import click

from adaptrix_core import __version__
from adaptrix_core.cli.audit.command import audit
from adaptrix_core.cli.authoring.calibration import calibrate
from adaptrix_core.cli.authoring.composing import compose_adapters
from adaptrix_core.cli.authoring.conflicts import conflicts
from adaptrix_core.cli.authoring.evaluation import evaluate
from adaptrix_core.cli.authoring.exchange import export_adapter, import_adapter
from adaptrix_core.cli.authoring.gates import train_gate
from adaptrix_core.cli.authoring.merge import merge
from adaptrix_core.cli.authoring.training import train
from adaptrix_core.cli.commands.adapters import active, list_adapters, load, unload
from adaptrix_core.cli.commands.benchmark import benchmark
from adaptrix_core.cli.commands.completion import completion
from adaptrix_core.cli.commands.embedding import embed
from adaptrix_core.cli.commands.extensions import extensions
from adaptrix_core.cli.commands.publishing import publish
from adaptrix_core.cli.commands.query import query
from adaptrix_core.cli.commands.revocation import revoke
from adaptrix_core.cli.commands.routing import route
from adaptrix_core.cli.commands.serve import serve
from adaptrix_core.cli.commands.show import show
from adaptrix_core.cli.commands.status import status
from adaptrix_core.cli.commands.trust import sign, trust, verify
from adaptrix_core.cli.confidence.answer_feedback import feedback
from adaptrix_core.cli.errors import ErrorEdge
from adaptrix_core.cli.inspection.command import inspect
from adaptrix_core.cli.keys.command import keys
from adaptrix_core.cli.logs.command import logs
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.usage.command import stats
from adaptrix_core.cli.usage.costs import costs


@click.group(cls=ErrorEdge, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="adaptrix")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """One small language model, many specialities: adapters injected into its middle layers, per request.

    Commands that ask something talk to a running server (--url), or to an engine of their own (--local).
    Exit code: 0 done, 1 failed, 2 wrong usage.
    """
    ctx.ensure_object(Session)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)


for command in (
    load,
    unload,
    list_adapters,
    active,
    show,
    query,
    logs,
    embed,
    benchmark,
    status,
    stats,
    costs,
    serve,
    train,
    evaluate,
    conflicts,
    merge,
    calibrate,
    import_adapter,
    export_adapter,
    compose_adapters,
    train_gate,
    sign,
    verify,
    trust,
    publish,
    revoke,
    route,
    feedback,
    inspect,
    extensions,
    keys,
    audit,
    completion,
):
    cli.add_command(command)


if __name__ == "__main__":
    cli()
