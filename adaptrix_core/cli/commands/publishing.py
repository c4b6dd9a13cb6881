"""`publish`: send an adapter directory to a running server, which need not see this machine's disk."""

from __future__ import annotations

import asyncio
import io
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adaptrix_core.cli.commands.trust import Directory
from adaptrix_core.cli.options import downgrade_option, output_options, target_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import InvalidRequest

if TYPE_CHECKING:
    from adaptrix_core.adapters import Snapshot


@click.command()
@click.argument("directory", type=Directory)
@downgrade_option
@target_options
@output_options
@click.pass_obj
def publish(session: Session, directory: Path, allow_downgrade: bool) -> None:
    """Publish the signed adapter in DIRECTORY on a running server, under the name and version it gives itself.

    Every replica verifies it before anybody can ask for it. A published version never changes: sending the
    same contents again does nothing, other contents are refused.
    """
    if session.local:
        raise click.UsageError("a local engine ends with its command; publish on a server, drop --local")
    snapshot = _checked(session, directory)

    async def work() -> dict[str, Any]:
        from adaptrix_core.cli.remote import RemoteTarget

        async with RemoteTarget(session.url, session.api_key) as target:
            with session.output.waiting(f"publishing {directory}"):
                return await target.publish_adapter(archive_of(snapshot.files), allow_downgrade)

    published = asyncio.run(work())
    session.output.result(
        published,
        lambda out: out.print(
            f"published {published['name']}@{published['version']}\npackage digest {published['digest']}", markup=False
        ),
    )


def _checked(session: Session, directory: Path) -> Snapshot:
    """The files, after those checks of a server that do not depend on its keys."""
    from adaptrix_core.adapters.package.contents import package_metadata_of, snapshot_package
    from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
    from adaptrix_core.adapters.peft.directory import is_peft_directory
    from adaptrix_core.adapters.sources.local import LocalDirectory

    if is_peft_directory(directory):
        raise InvalidRequest(
            f"{directory} is a PEFT directory, which no server takes; import it first: "
            f"{shlex.join(['adaptrix', 'import', str(directory), '--sign'])}"
        )
    snapshot = snapshot_package(LocalDirectory(directory))
    package_metadata_of(snapshot)
    if SIGNATURE_FILE not in snapshot.files:
        sign = shlex.join(["adaptrix", "sign", str(directory)])
        session.output.warn(f"{directory} is not signed, which most servers require; sign it first: {sign}")
    return snapshot


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """A plain tar archive of files by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
