"""The revocation list in a state directory on this machine, with the interface of a server: for `revoke --local`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.adapters.trust.revocation_directory import RevocationBoard, revocations_directory
from adaptrix_core.cli.target import AdapterRow
from adaptrix_core.config.sections import AdapterSettings


class RevocationsOnDisk:
    """Of a server that does not run, or of none. Names are those of the directory of adapters."""

    def __init__(self, settings: AdapterSettings, trust: TrustPolicy) -> None:
        self._manager = AdapterManager(settings.dir, None, trust)
        self._board = RevocationBoard(settings.state_dir, trust.trusted_keys_dir)
        self._directory = revocations_directory(settings.state_dir)

    async def adapters(self) -> list[AdapterRow]:
        """The directory of adapters, unverified: an adapter that would be refused can be revoked too."""
        return [
            AdapterRow(
                name=metadata.name,
                version=metadata.version,
                package_digest=self._manager.snapshot(metadata.identity).package_digest,
                signer=None,
                description=metadata.description,
            )
            for metadata in self._manager.list_adapters()
        ]

    async def revocation_list(self) -> Mapping[str, bytes] | None:
        """The files of the list, unverified; None where there is none. Raises ConfigError where it cannot be read."""
        self._board.open()
        return self._board.files

    async def publish_revocations(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Put a signed list in the place of the present one."""
        return {"number": self._board.put_in_force(files).number, "directory": str(self._directory)}
