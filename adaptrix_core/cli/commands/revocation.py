"""`revoke`: take adapters out of service on every replica, or on this machine, by a signed list."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
from rich.console import Console

from adaptrix_core.cli.commands.trust import Directory, trust_policy
from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.session import Session
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterNotFound

if TYPE_CHECKING:
    from adaptrix_core.adapters.trust.revocation import RevocationList
    from adaptrix_core.cli.target import AdapterRow

_DIGEST = re.compile(r"^[0-9a-f]{64}$")


class Lists(Protocol):
    """Where the revocation list in force is: a server, or a directory."""

    async def adapters(self) -> Sequence[AdapterRow]:
        """The adapters whose names are known there."""

    async def revocation_list(self) -> Mapping[str, bytes] | None:
        """The signed files of the list, unverified; None where there is none."""

    async def publish_revocations(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Put a signed list in force."""


@click.command()
@click.argument("adapter", metavar="[NAME|DIGEST]", required=False, shell_complete=complete_adapters)
@click.option(
    "--file",
    "lines",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Text file of packages instead: one package digest a line, a reason after it, # begins a comment.",
)
@click.option("--reason", default="", help="Shown to whoever asks for the adapter.")
@click.option("--undo", is_flag=True, help="Take the revocation back (give the digest).")
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Private key (default: keys/signing.key in the user's adaptrix configuration).",
)
@click.option("--trusted-keys", type=Directory, help="Directory of public keys (*.pub) whose lists are accepted.")
@target_options
@output_options
@click.pass_obj
def revoke(
    session: Session,
    adapter: str | None,
    lines: Path | None,
    reason: str,
    undo: bool,
    key: Path | None,
    trusted_keys: Path | None,
) -> None:
    """Revoke NAME (every version of it), name@version, a package digest, or all packages of a --file.

    Fetches the list in force, checks its signature, adds to it, signs it as the next one, and sends it. Requests that
    run on the adapter end with the error adapter_revoked. The key must be one that the server trusts.

    With --local the list is the one in adapters.state_dir of the settings (--config): a server reads it when it starts,
    and `--local`, `verify` and the library read it at every load. A server that runs is told without --local.
    """
    if (adapter is None) == (lines is None):
        raise click.UsageError("name an adapter or a package digest, or give a --file")
    from adaptrix_core.adapters.trust.keys import check_private_key, default_private_key
    from adaptrix_core.adapters.trust.revocation_text import read_revocations

    private = key or default_private_key()
    check_private_key(private)
    listed = None if lines is None else {package: why or reason for package, why in read_revocations(lines).items()}
    what = adapter or str(lines)
    trust = trust_policy(session, trusted_keys)

    async def change(lists: Lists) -> dict[str, Any]:
        from adaptrix_core.adapters.trust.revocation import sign_list

        current = await _list_in_force(lists, trust.trusted_keys_dir)
        reasons = dict.fromkeys(await _packages(lists, what), reason) if listed is None else listed
        revoked = current.without(reasons) if undo else current.with_packages(reasons)
        outcome = await lists.publish_revocations(sign_list(revoked, private))
        return {**outcome, "packages": list(reasons), "revoked": not undo}

    async def work() -> dict[str, Any]:
        if session.local:
            from adaptrix_core.cli.revocations_on_disk import RevocationsOnDisk

            return await change(RevocationsOnDisk(session.settings.adapters, trust))
        from adaptrix_core.cli.remote import RemoteTarget

        async with RemoteTarget(session.url, session.api_key) as target:
            return await change(target)

    with session.output.waiting(f"{'taking back the revocation of' if undo else 'revoking'} {what}"):
        outcome = asyncio.run(work())
    session.output.result(outcome, lambda out: _show(out, outcome))


async def _list_in_force(lists: Lists, trusted_keys_dir: Path) -> RevocationList:
    """The list in force, verified: a server must not get a list of its own signed."""
    from adaptrix_core.adapters.trust.keys import read_trusted_keys
    from adaptrix_core.adapters.trust.revocation import RevocationList, verify_list

    files = await lists.revocation_list()
    return RevocationList() if files is None else verify_list(files, read_trusted_keys(trusted_keys_dir))


async def _packages(lists: Lists, adapter: str) -> list[PackageDigest]:
    if _DIGEST.match(adapter):
        return [PackageDigest(adapter)]
    name, _, version = adapter.partition("@")
    rows = [row for row in await lists.adapters() if row.name == name and version in ("", row.version)]
    found = sorted({row.package_digest for row in rows if row.package_digest is not None})
    if not found:
        raise AdapterNotFound(f"no adapter {adapter!r} is listed; see `adaptrix list`, or give a package digest")
    return found


def _show(out: Console, outcome: dict[str, Any]) -> None:
    verb = "revoked" if outcome["revoked"] else "no longer revoked"
    lines = [f"{verb}: {package}" for package in outcome["packages"]]
    if "directory" in outcome:
        lines.append(f"list {outcome['number']} in {outcome['directory']}; a server that runs is told without --local")
    else:
        lines.append(f"list {outcome['number']} in force on {len(outcome['confirmed'])} replicas")
    if outcome.get("waiting"):
        lines.append(f"not confirmed yet by {', '.join(outcome['waiting'])}; see `adaptrix status`")
    out.print("\n".join(lines), markup=False)
