"""`publish`: send an adapter directory to a running server, which need not see this machine's disk."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from adaptrix_core.cli.options import downgrade_option, output_options, target_options
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.trust import Directory


@click.command()
@click.argument("directory", type=Directory)
@downgrade_option
@target_options
@output_options
@click.pass_obj
def publish(session: Session, directory: Path, allow_downgrade: bool) -> None:
    """Publish the signed adapter in DIRECTORY on a running server, under the name and version it gives itself.

    Every replica verifies it before anybody can ask for it. A version that is there stays as it is: the same contents
    again change nothing, other contents are refused.
    """
    if session.local:
        raise click.UsageError("a local engine ends with its command; publish on a server, drop --local")
    from adaptrix_core.adapters.package_contents import snapshot_package

    snapshot = snapshot_package(directory)

    async def work() -> dict[str, Any]:
        from adaptrix_core.cli.remote import RemoteTarget

        async with RemoteTarget(session.url, session.api_key) as target:
            with session.output.waiting(f"publishing {directory}"):
                return await target.publish(archive_of(snapshot.files), allow_downgrade)

    published = asyncio.run(work())
    session.output.result(
        published,
        lambda out: out.print(
            f"published {published['name']}@{published['version']}\npackage digest {published['digest']}", markup=False
        ),
    )


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """A plain tar archive of files by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
