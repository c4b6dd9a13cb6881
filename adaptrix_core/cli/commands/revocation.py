"""`revoke`: take an adapter out of service on every replica, by a signed list."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from adaptrix_core.cli.remote import RemoteTarget

_DIGEST = re.compile(r"^[0-9a-f]{64}$")


@click.command()
@click.argument("adapter", metavar="NAME|DIGEST", shell_complete=complete_adapters)
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
    session: Session, adapter: str, reason: str, undo: bool, key: Path | None, trusted_keys: Path | None
) -> None:
    """Revoke NAME (every version of it), name@version, or a package digest on a running server.

    Fetches the list in force, checks its signature, adds to it, signs it as the next one, and sends it. Requests that
    run on the adapter end with the error adapter_revoked. The key must be one that the server trusts.
    """
    if session.local:
        raise click.UsageError("a local engine ends with its command; revoke on a server, drop --local")

    from adaptrix_core.adapters.trust.keys import check_private_key, default_private_key

    private = key or default_private_key()
    check_private_key(private)

    async def work() -> dict[str, Any]:
        from adaptrix_core.adapters.trust.revocation import sign_list
        from adaptrix_core.cli.remote import RemoteTarget

        async with RemoteTarget(session.url, session.api_key) as target:
            current = await _list_in_force(target, trust_policy(session, trusted_keys).trusted_keys_dir)
            packages = await _packages(target, adapter)
            revoked = current.without(packages) if undo else current.with_packages(packages, reason)
            outcome = await target.publish_revocations(sign_list(revoked, private))
            return {**outcome, "packages": packages, "revoked": not undo}

    with session.output.waiting(f"{'taking back the revocation of' if undo else 'revoking'} {adapter}"):
        outcome = asyncio.run(work())
    session.output.result(outcome, lambda out: _show(out, outcome))


async def _list_in_force(target: RemoteTarget, trusted_keys_dir: Path) -> RevocationList:
    """The list in force, verified: a server must not get a list of its own signed."""
    from adaptrix_core.adapters.trust.keys import read_trusted_keys
    from adaptrix_core.adapters.trust.revocation import RevocationList, verify_list

    files = await target.revocation_list()
    return RevocationList() if files is None else verify_list(files, read_trusted_keys(trusted_keys_dir))


async def _packages(target: RemoteTarget, adapter: str) -> list[PackageDigest]:
    if _DIGEST.match(adapter):
        return [PackageDigest(adapter)]
    name, _, version = adapter.partition("@")
    rows = [row for row in await target.adapters() if row.name == name and version in ("", row.version)]
    found = sorted({row.package_digest for row in rows if row.package_digest is not None})
    if not found:
        raise AdapterNotFound(f"the server lists no adapter {adapter!r}; see `adaptrix list`, or give a package digest")
    return found


def _show(out: Console, outcome: dict[str, Any]) -> None:
    verb = "revoked" if outcome["revoked"] else "no longer revoked"
    lines = [f"{verb}: {package}" for package in outcome["packages"]]
    lines.append(f"list {outcome['number']} in force on {len(outcome['confirmed'])} replicas")
    if outcome["waiting"]:
        lines.append(f"not confirmed yet by {', '.join(outcome['waiting'])}; see `adaptrix status`")
    out.print("\n".join(lines), markup=False)
