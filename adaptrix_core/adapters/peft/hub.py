"""Fetches the files of a PEFT adapter from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters.peft.directory import CONFIG_FILE, WEIGHTS_FILE
from adaptrix_core.errors import AdapterNotFound

_FILES = [
    CONFIG_FILE, WEIGHTS_FILE, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "tokenizer.json", "generation_config.json", "chat_template.*",
]  # fmt: skip


def download_peft(repository: str, directory: Path) -> Path:
    """Download ``org/name[@revision]`` into ``directory``, as plain files; returns ``directory``.

    Raises AdapterNotFound where the hub has no such adapter or cannot be reached. What arrives is as untrusted as any
    PEFT directory: `import_peft` checks it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    name, _, revision = repository.partition("@")
    try:
        snapshot_download(name, revision=revision or None, local_dir=directory, allow_patterns=_FILES)
    except (OSError, HfHubHTTPError, HFValidationError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AdapterNotFound(f"adapter {repository!r} could not be fetched from the hub: {reason}") from error
    if not (directory / CONFIG_FILE).is_file():
        raise AdapterNotFound(f"{repository!r} has no {CONFIG_FILE}; it is not a PEFT adapter")
    return directory
