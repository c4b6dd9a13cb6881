"""What makes an adapter or a composition a package: version, licence, what it is for, and the key that signs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from adaptrix_core.cli.authoring.publication import require_publishable


@dataclass(frozen=True)
class Packaging:
    """As the options of `packaging_options` say."""

    version: str
    description: str
    routing_examples: tuple[str, ...]
    license_name: str
    private_key: Path | None
    """None: it is not signed."""
    overwrite: bool

    @property
    def fields(self) -> dict[str, str]:
        """The metadata fields that do not depend on the weights."""
        return {"version": self.version, "description": self.description, "license": self.license_name}

    def check(self, name: str, adapters: Path) -> None:
        """Raise now what writing ``name`` in the directory of adapters would raise: see `require_publishable`."""
        require_publishable({"name": name, **self.fields}, adapters / name, self.private_key)


def packaging_options(command: Callable[..., None]) -> Callable[..., None]:
    """--version, --description, --route-example, --license, --sign, --key and --overwrite, as one ``packaging``."""

    @wraps(command)
    def packaged(
        *arguments: Any,
        version: str,
        description: str,
        routing_examples: tuple[str, ...],
        license_name: str,
        sign: bool,
        key: Path | None,
        overwrite: bool,
        **others: Any,
    ) -> None:
        if key is not None and not sign:
            raise click.UsageError("--key needs --sign")
        from adaptrix_core.adapters.trust.keys import default_private_key

        private = (key or default_private_key()) if sign else None
        packaging = Packaging(version, description, routing_examples, license_name, private, overwrite)
        command(*arguments, packaging=packaging, **others)

    decorated: Callable[..., None] = packaged
    for decorate in reversed(_OPTIONS):
        decorated = decorate(decorated)
    return decorated


_OPTIONS = (
    click.option("--version", default="1.0.0", show_default=True, help="Version of the package."),
    click.option("--description", default="", help="What it is for; the router reads this."),
    click.option(
        "--route-example", "routing_examples", multiple=True, help="A prompt it is for; may be given several times."
    ),
    click.option("--license", "license_name", default="unspecified", show_default=True, help="SPDX id of its licence."),
    click.option("--sign", is_flag=True, help="Sign it with your key."),
    click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Private key for --sign."),
    click.option("--overwrite", is_flag=True, help="Replace this version if it is there and is another one."),
)
