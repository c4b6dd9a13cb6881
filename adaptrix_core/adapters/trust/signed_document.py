"""A signed JSON document in a directory of its own: one file, and the signature over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signing import sign_snapshot, verify_snapshot
from adaptrix_core.errors import AdapterRejected

Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True)
class SignedDocument:
    """One kind of such documents."""

    file_name: str
    most_bytes: int
    """Largest file that is read."""
    bad: Callable[[str, str], AdapterRejected]
    """The error for a document that cannot be read or used, of its directory's name and the reason."""

    def write(self, document: BaseModel, directory: Path, private_key: Path) -> Path:
        """Write and sign ``document`` in ``directory``, in the stead of an earlier one; returns ``directory``.

        Raises AdapterNotFound or AdapterRejected (bad_key) for the key, OSError.
        """
        from adaptrix_core.adapters.package import atomic

        content = document.model_dump_json(indent=1).encode() + b"\n"
        signature = sign_snapshot(Snapshot(directory.name, {self.file_name: content}), private_key)
        directory.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_directory(directory, {self.file_name: content, SIGNATURE_FILE: signature})
        return directory

    def read(
        self, directory: Path, keys: Sequence[TrustedKey] | None, model: type[Document]
    ) -> tuple[Document, str | None]:
        """Read one; returns it and the name of the key that vouches for it.

        keys: those that may; None: signatures are not looked at. Raises AdapterRejected: the codes of
        `verify_snapshot`, or ``bad`` where it cannot be read or used.
        """
        files = self._files(directory)
        signer = None if keys is None else verify_snapshot(Snapshot(directory.name, files), keys).name
        try:
            return model.model_validate_json(files[self.file_name]), signer
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "file"
            raise self.bad(directory.name, f"{place}: {first['msg']}") from error

    def _files(self, directory: Path) -> dict[str, bytes]:
        files = {}
        for name in (self.file_name, SIGNATURE_FILE):
            path = directory / name
            try:
                if path.is_file():  # a pipe would be waited on for ever
                    with path.open("rb") as file:
                        files[name] = file.read(self.most_bytes + 1)
            except OSError as error:
                raise self.bad(directory.name, error.strerror or str(error)) from error
        if self.file_name not in files:
            raise self.bad(directory.name, f"it holds no {self.file_name}")
        if any(len(content) > self.most_bytes for content in files.values()):
            raise self.bad(directory.name, f"a file has more than {self.most_bytes} bytes")
        return files
