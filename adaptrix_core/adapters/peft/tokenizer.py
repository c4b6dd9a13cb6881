"""Summarises the tokenizer in an adapter directory: a chat template, end tokens, added tokens.

Training tools save the tokenizer with the adapter. Answers use the base's tokenizer, so users are warned where the two
differ. Reads the few facts that matter into one small file, which travels with the weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adaptrix_core.adapters.package.file_names import PEFT_TOKENIZER_FILE
from adaptrix_core.adapters.package.file_rules import FileRule
from adaptrix_core.adapters.package.limits import MIB

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModel

_MAX_TEXT_BYTES = 1 * MIB
TOKENIZER_RULES = {
    name: FileRule("beginning", _MAX_TEXT_BYTES + 1)
    for name in (
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "tokenizer.json",
        "generation_config.json",
        "chat_template.jinja",
        "chat_template.json",
        PEFT_TOKENIZER_FILE,
    )
}
"""The files that `summarize` knows. None stops a load: what is no plain file, or too long, counts as missing."""
_MAX_TOKENS = 1000
_SHOWN = 3


def summarize(files: Mapping[str, bytes]) -> bytes | None:
    """The summary of the tokenizer files among ``files``, as JSON; None without any, or if it were too long a file."""
    made_before = _text(files, PEFT_TOKENIZER_FILE)
    if made_before is not None:
        return made_before
    config = _object(files, "tokenizer_config.json")
    special = _object(files, "special_tokens_map.json")
    generation = _object(files, "generation_config.json")
    facts = {
        "chat_template": _template(files, config),
        "end_token": _token(config.get("eos_token")) or _token(special.get("eos_token")),
        "end_token_ids": _ids(generation.get("eos_token_id")),
        "added_tokens": _added(files, config)[:_MAX_TOKENS],
    }
    summary = json.dumps(facts, sort_keys=True).encode()
    return summary if any(facts.values()) and len(summary) <= _MAX_TEXT_BYTES else None


def tokenizer_warning(summary: bytes | None, origin: str, base: BaseModel) -> str | None:
    """A warning that names the unused parts of an adapter's own tokenizer; None where it equals the base's."""
    tokenizer = base.tokenizer
    if summary is None or tokenizer is None:
        return None
    facts = _loads(summary)
    own: list[str] = []
    template = facts.get("chat_template")
    if isinstance(template, str) and template.strip() != str(tokenizer.chat_template or "").strip():
        own.append("a chat template")
    vocabulary = tokenizer.get_vocab()
    ends = [_token(facts.get("end_token"))] if facts.get("end_token") else []
    ends = [token for token in ends if vocabulary.get(token) not in base.eos_token_ids]
    ends += [str(number) for number in _ids(facts.get("end_token_ids")) if number not in base.eos_token_ids]
    if ends:
        own.append(f"end tokens ({_shown(ends)})")
    added = [token for token in _strings(facts.get("added_tokens")) if token not in vocabulary]
    if added:
        own.append(f"added tokens ({_shown(added)})")
    if not own:
        return None
    return (
        f"peft_tokenizer: {origin} brings {' and '.join(own)} of its own; the base's are used, so answers may differ "
        "from those in training. Send prompts in the form that it was trained with, or train it with the base's"
    )


def _template(files: Mapping[str, bytes], config: Mapping[str, Any]) -> str | None:
    text = _text(files, "chat_template.jinja")
    if text is not None:
        return text.decode("utf-8", "replace")
    template = _object(files, "chat_template.json").get("chat_template") or config.get("chat_template")
    if isinstance(template, list):  # several by name
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _added(files: Mapping[str, bytes], config: Mapping[str, Any]) -> list[str]:
    decoder = config.get("added_tokens_decoder")
    entries = [*decoder.values()] if isinstance(decoder, dict) else []
    entries += _added_tokens_of(files.get("tokenizer.json", b""))
    tokens = {token for entry in entries if (token := _token(entry))}
    return sorted(tokens | set(_object(files, "added_tokens.json")))


def _added_tokens_of(beginning: bytes) -> list[Any]:
    """The added tokens in a tokenizer.json, which stand before its vocabulary; that may be tens of megabytes long."""
    text = beginning.decode("utf-8", "replace")
    key = text.find('"added_tokens"')
    start = text.find("[", key)
    if key < 0 or start < 0:
        return []
    try:
        entries, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return []
    return entries if isinstance(entries, list) else []


def _token(value: Any) -> str:
    """A token, which files write as text or as an object with its content."""
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else ""


def _ids(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if type(item) is int]


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _shown(tokens: list[str]) -> str:
    more = len(tokens) - _SHOWN
    return ", ".join(token[:40] for token in tokens[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _object(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    data = _text(files, name)
    return {} if data is None else _loads(data)


def _loads(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(files: Mapping[str, bytes], name: str) -> bytes | None:
    """A file that may be missing; one that was cut off, being too long, counts as missing."""
    data = files.get(name)
    return None if data is None or len(data) > _MAX_TEXT_BYTES else data
