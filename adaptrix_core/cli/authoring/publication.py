"""The adapter directory that a training is to write: checked before the training, written after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from adaptrix_core.errors import ConfigError

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModel
    from adaptrix_core.training.config import TrainConfig
    from adaptrix_core.training.examples.conversation import LearntConversation


@dataclass(frozen=True)
class Publication:
    """The directory, the metadata and the signing key of an adapter to be published."""

    name: str
    target: Path
    version: str
    description: str
    routing_examples: tuple[str, ...]
    license_name: str
    overwrite: bool
    private_key: Path | None

    @classmethod
    def of(
        cls,
        name: str,
        data: str,
        root: Path,
        version: str | None,
        description: str | None,
        examples_of_use: tuple[str, ...],
        license_name: str | None,
        overwrite: bool,
        sign: bool,
        key: Path | None,
    ) -> Self:
        """Make one from the command line's options; a task family brings a description and examples."""
        from adaptrix_core.adapters.trust.keys import default_private_key
        from adaptrix_core.routing.prompts import suggested_cards
        from adaptrix_core.training.publish import target_of

        written = suggested_cards().get(data, {})
        wanted = version or "1.0.0"
        return cls(
            name=name,
            target=target_of(root, name, wanted)[0],
            version=wanted,
            description=description or written.get("description", ""),
            routing_examples=examples_of_use or tuple(written.get("routing_examples", ())),
            license_name=license_name or "unspecified",
            overwrite=overwrite,
            private_key=(key or default_private_key()) if sign else None,
        )

    def check(self, run_dir: Path) -> None:
        """Raise now the errors that writing would raise after the training.

        Raises ConfigError (version, licence, a directory that cannot be written), AdapterExists (that version, or
        other files), Conflict (another signer's name), and as `check_private_key`.
        """
        from adaptrix_core.adapters import AdapterManager
        from adaptrix_core.adapters.package.atomic import refuse_foreign_files
        from adaptrix_core.adapters.package.file_names import is_package_file
        from adaptrix_core.training.publish import taken, target_of
        from adaptrix_core.training.result import read_history

        fields = {"version": self.version, "description": self.description, "license": self.license_name}
        require_publishable(fields, self.target, self.private_key)
        refuse_foreign_files(self.target, is_package_file)
        if self.private_key is not None:
            AdapterManager(self.target.parent).check_signer(self.name, self.version, self.private_key)
        there = target_of(self.target.parent, self.name, self.version)[1]
        # A run that has ended may be the published one itself: only its weights can tell.
        if there is not None and not self.overwrite and read_history(run_dir) is None:
            raise taken(there, self.target)

    def made_examples(self, conversations: Sequence[LearntConversation], number: int) -> tuple[str, ...]:
        """Routing examples from what it is trained on; none where it has some."""
        from adaptrix_core.training.examples.route_examples import route_examples

        return () if self.routing_examples else route_examples(conversations, number)

    def write(self, run_dir: Path, base: BaseModel, config: TrainConfig) -> None:
        """Write the adapter directory. Raises AdapterExists where that version is there with other weights."""
        from adaptrix_core.training.publish import publish

        publish(
            run_dir,
            self.target,
            base,
            config,
            description=self.description,
            routing_examples=self.routing_examples,
            version=self.version,
            license_name=self.license_name,
            private_key=self.private_key,
            replace=self.overwrite,
        )


def require_publishable(fields: Mapping[str, object], directory: Path, private_key: Path | None) -> None:
    """Raise those errors of writing an adapter that do not depend on its weights: metadata fields, directory, key.

    ConfigError with every fault of the first two; and as `check_private_key`.
    """
    from adaptrix_core.adapters.package.metadata import field_faults
    from adaptrix_core.adapters.trust.keys import check_private_key
    from adaptrix_core.writable import why_not_writable

    faults = list(field_faults(fields))
    unwritable = why_not_writable(directory)
    if unwritable is not None:
        faults.append(f"directory of adapters {directory.parent}: {unwritable}")
    if faults:
        raise ConfigError(faults)
    if private_key is not None:
        check_private_key(private_key)
