"""The grammar of references to adapters and mixes, shared by library, command line and server.

    name                      what the name means: its newest good version
    name@latest               the same
    name@1.2.0                exactly that version
    base:name@1.2.0           the same, with the base model's id before it
    a*0.7+b@1.0.0*0.3         a mix of two adapters, each with a weight
    a*0.7[10,14,18]+b         the first one on these layers only
    a[early]+b[late]          each one on a third of the layers: early, mid or late

Does not know which adapters there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from adaptrix_core.errors import AdapterNotFound, AdapterRejected, InvalidRequest
from adaptrix_core.injection.mix import LAYER_THIRDS, LayerThird, Term, check_mix, check_repeated

BASE = "base"
"""Name of the base model in the place of an adapter's; no adapter may have it."""
AUTO = "auto"
"""Model name that leaves the choice to the router; no adapter may have it."""
LATEST = "latest"
"""Version that means the same as no version: the newest good one."""

RESERVED_NAMES = frozenset({AUTO, BASE})

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""The names of packages. They are names of files too, on systems that tell capitals and on those that don't."""
SHOWN_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
"""The names under which a server may show an adapter: with capitals and slashes, such as those of the hub. None of the
signs of this grammar is in them."""
VERSION_PATTERN = r"^(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){0,2}$"
_NAME = re.compile(NAME_PATTERN)
_VERSION = re.compile(VERSION_PATTERN)
_EXAMPLE = "write name*0.7+other*0.3"
_TERM = re.compile(r"(?P<name>[^*\[\]]*)(\*(?P<weight>[^\[\]]*))?(\[(?P<layers>[^\[\]]*)\])?")


def safe_name(shown: str) -> str:
    """The name of a package's form that stands for a shown one. Several may come to the same: only one is taken."""
    return shown.lower().replace("/", "--")


def is_name(text: str) -> bool:
    """Whether a package could have this name."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class AdapterReference:
    """A name, and the requested version."""

    name: str
    version: str | None = None
    """None: the version that the bare name means."""

    @classmethod
    def split(cls, text: str) -> AdapterReference:
        """Split ``name``, ``name@version`` or ``name@latest``, without checking name or version."""
        name, _, version = text.partition("@")
        return cls(name, None if version in ("", LATEST) else version)

    @classmethod
    def parse(cls, text: str) -> AdapterReference:
        """As `split`, for an adapter of the library.

        Raises AdapterRejected (path_escape) for a path, AdapterNotFound for anything else that is no name.
        """
        if "/" in text or "\\" in text or text.startswith(".."):
            raise AdapterRejected(f"{text!r} is a path, not an adapter name", code="path_escape")
        name, at, version = text.partition("@")
        if not _NAME.match(name) or (at and version != LATEST and not _VERSION.match(version)):
            raise AdapterNotFound(
                f"{text!r} is not an adapter name; names look like 'math_reasoning' or 'math_reasoning@1.0.0'"
            )
        return cls.split(text)

    def means(self, name: str, version: str) -> bool:
        """Whether this reference means an adapter of this name and version."""
        return self.name == name and self.version in (None, version)


def without_latest(text: str) -> str:
    """A reference without ``@latest``."""
    return text.removesuffix(f"@{LATEST}")


def version_key(version: str) -> tuple[int, ...]:
    """Sort key of ``1``, ``1.2`` or ``1.2.3``; missing parts count as 0."""
    parts = [int(part) for part in version.split(".")]
    return (*parts, *[0] * (3 - len(parts)))


def parse_mix(text: str, base_id: str) -> tuple[Term[str], ...]:
    """The terms of a mix by name, in their order; the default weight is 1.

    Raises InvalidRequest (``model``) for empty or repeated names, and for weights and layers that cannot be used.
    """
    terms = tuple(_term(part.strip(), text) for part in text.removeprefix(f"{base_id}:").split("+"))
    check_mix(terms, is_request=True, param="model")
    check_repeated(terms, "model")
    return terms


def mix_label(terms: Iterable[Term[str]]) -> str:
    """A mix for people and headers: ``base``, ``name``, or in the form that `parse_mix` reads.

    Weights per layer are not written out: ``name*(per layer)``.
    """
    listed = list(terms)
    if not listed:
        return BASE
    if len(listed) == 1 and listed[0].weight == 1.0 and listed[0].layers is None:
        return listed[0].adapter
    return "+".join(map(_written, listed))


def _written(term: Term[str]) -> str:
    weight = "(per layer)" if isinstance(term.weight, tuple) else f"{term.weight:g}"
    listed = term.layers if isinstance(term.layers, str) else ",".join(map(str, sorted(term.layers or ())))
    layers = "" if term.layers is None else f"[{listed}]"
    return f"{term.adapter}*{weight}{layers}"


def _term(part: str, text: str) -> Term[str]:
    found = _TERM.fullmatch(part)
    if found is None:
        raise InvalidRequest(f"model {text!r}: {part!r} is no term of a mix; {_EXAMPLE}", param="model")
    name = found["name"].strip()
    if not name:
        raise InvalidRequest(f"model {text!r} has an empty name; {_EXAMPLE}", param="model")
    layers = None if found["layers"] is None else _layers(found["layers"].strip(), text)
    return Term(name, 1.0 if found["weight"] is None else _weight(found["weight"].strip(), text), layers)


def _layers(layers: str, text: str) -> frozenset[int] | LayerThird:
    third = next((third for third in LAYER_THIRDS if third == layers), None)
    return third or frozenset(_layer(layer, text) for layer in layers.split(","))


def _weight(weight: str, text: str) -> float:
    try:
        return float(weight)
    except ValueError:
        raise InvalidRequest(f"model {text!r}: {weight!r} is not a weight; {_EXAMPLE}", param="model") from None


def _layer(layer: str, text: str) -> int:
    if not layer.strip().isdecimal() or len(layer) > 6:
        raise InvalidRequest(f"model {text!r}: {layer[:20]!r} is not a layer; write name*0.7[10,14,18]", param="model")
    return int(layer)
