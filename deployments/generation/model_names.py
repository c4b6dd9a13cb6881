"""Reads the ``model`` and ``adaptrix`` fields of a request into a choice of mixes.

Turns ``auto``, the base id, ``adapter``, ``base:adapter``, ``name@version`` and mixes into a Choice.
Knows the catalogue; does not route, and does not know whether a replica can serve the choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from adaptrix_core.adapters.reference import AUTO, BASE, mix_label, parse_mix
from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.manifests.signed_step import SignedStep, part_by_name
from adaptrix_core.composition.model_strings import composition_named, mix_named, mixes_of
from adaptrix_core.composition.nesting import kind_of
from adaptrix_core.composition.parts import Group, Part
from adaptrix_core.confidence.calibration import answerer_of
from adaptrix_core.digests import BundleDigest, PackageDigest
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term, check_mix, check_repeated
from deployments.shared.catalogue import View, shortened
from deployments.shared.entry import Entry
from deployments.shared.model_ids import MIX
from deployments.shared.wire import BundleMix


@dataclass(frozen=True)
class Within:
    """A part of a composition with a name. Which package it is, replicas know: the manifest that they hold says so."""

    public_name: str
    """As the composition calls it."""
    bundle_digest: BundleDigest
    """The composition's."""


@dataclass(frozen=True)
class SignedComposition:
    """A composition with a name that is more than one mix: rows, or steps of rows."""

    part: Part[Within]
    step: SignedStep
    """The first one, for calls."""


@dataclass(frozen=True)
class NamedMix:
    """A mix whose names were found in the catalogue."""

    terms: tuple[Term[Entry], ...] = ()

    @property
    def bundles(self) -> BundleMix:
        """The mix by bundle digests, for a replica."""
        return tuple(term.called(term.adapter.bundle_digest) for term in self.terms)

    @property
    def label(self) -> str:
        """The mix for people and headers: ``base``, ``name`` or ``a*0.7+b*0.3``; the digests identify versions."""
        return mix_label(term.called(term.adapter.public_name) for term in self.terms)

    @property
    def kind(self) -> str:
        """Label for counting: an adapter's name among all tenants', ``base`` or ``mix``; callers make up no others."""
        if len(self.terms) > 1:
            return MIX
        return self.terms[0].adapter.full_name if self.terms else BASE

    @property
    def signed(self) -> SignedComposition | None:
        """What it comes to where it is a composition that is more than one mix; None for any other.

        Such a one is alone in its mix, see `choose`. Raises InvalidRequest, ExtensionError where no strategy here
        understands it.
        """
        if len(self.terms) != 1 or not (entry := self.terms[0].adapter).composition:
            return None
        part = part_by_name(entry.composition)
        if kind_of(part) == "mix":
            return None
        within = part.called(lambda called: Within(called, entry.bundle_digest))
        return SignedComposition(within, SignedStep(entry.bundle_digest, entry.composition))

    @property
    def parts(self) -> dict[str, PackageDigest]:
        """Package digest of each part of the compositions in the mix, by ``name@version``."""
        return {identity: digest for term in self.terms for identity, digest in term.adapter.parts}

    @property
    def answerer(self) -> str:
        """Who answers, as calibrations name it (`answerer_of`)."""
        return answerer_of(term.called(term.adapter.package_digest) for term in self.terms)

    @property
    def package_digests(self) -> str:
        """Package digests in the order of the label, joined by ``+``; empty for the base model."""
        return "+".join(term.adapter.package_digest for term in self.terms)


@dataclass(frozen=True)
class Choice:
    """Who answers: the router decides (``auto``), or these mixes do, one per fork."""

    auto: bool
    mixes: tuple[NamedMix, ...] = ()
    fallback: Literal["base", "error"] = "error"
    part: Part[Entry] | None = None
    """The composition that answers, where it is more than one mix; ``mixes`` are then all that it names, and the
    adapters that its question may be about."""


def asked_model(model: str, fields: Mapping[str, str | None], base_id: str) -> tuple[str, str]:
    """The model that a request asks for, as ``model`` would name it, and the field that says so.

    fields: those in which other servers' clients name an adapter beside ``model``; None or empty names none. Raises
    InvalidRequest where two fields disagree.
    """
    named = {field: value for field, value in fields.items() if value}
    asked, by = model, "model"
    for field, value in named.items():
        if value == AUTO:
            raise InvalidRequest(f"{field} is 'auto', which is no adapter; send it as model", param=field)
        if asked not in (value, AUTO, base_id, f"{base_id}:{value}"):
            raise InvalidRequest(
                f"{field} is {shortened(value)!r} and {by} is {shortened(asked)!r}; name the adapter in one of them"
                + (f", and set model to {base_id!r}" if by == "model" else ""),
                param=field,
            )
        asked, by = value, field
    return asked, by


def choose(
    model: str,
    base_id: str,
    view: View,
    mix: Sequence[Term[str]] | None = None,
    fork: Sequence[str | None] | None = None,
    composition: Mapping[str, Any] | None = None,
    fallback: Literal["base", "error"] | None = None,
) -> Choice:
    """Who is to answer. mix, fork, composition: of the ``adaptrix`` body field; with one of them ``model`` is ``auto``
    or the base.

    Raises InvalidRequest for contradictions, AdapterNotFound (with near names) for unknown names, ExtensionError.
    """
    written = composition_named(model.removeprefix(f"{base_id}:"))
    named = NamedMix() if written is not None else _parse(model, base_id, view, allow_auto=True)
    given = {"mix": mix, "fork": fork, "compose": composition}
    fields = [field for field, value in given.items() if value is not None]
    if len(fields) > 1:
        raise InvalidRequest(
            f"adaptrix.{fields[0]} and adaptrix.{fields[1]} are both set; send one of them", param="adaptrix"
        )
    if fields and named is not None and named.terms:
        raise InvalidRequest(
            f"model {model!r} names an adapter and adaptrix.{fields[0]} names others; set model to {base_id!r}",
            param=f"adaptrix.{fields[0]}",
        )
    if fields and written is not None:
        raise InvalidRequest(
            f"model {shortened(model)!r} is a composition and adaptrix.{fields[0]} says who answers; set model to "
            f"{base_id!r}",
            param=f"adaptrix.{fields[0]}",
        )
    if composition is not None:
        return _composed(composition, base_id, view, "adaptrix.compose", fallback or "error")
    if written is not None:
        return _composed(written, base_id, view, "model", fallback or "error")
    if mix is not None:
        return Choice(False, (_found(mix, base_id, view, "adaptrix.mix"),), fallback or "error")
    if fork is not None:
        if not fork:
            raise InvalidRequest(
                "adaptrix.fork is empty; name at least one adapter, or null for the base", param="adaptrix.fork"
            )
        mixes = tuple(_fork_mix(name, base_id, view) for name in fork)
        return Choice(False, mixes, fallback or "error")
    if named is None:
        return Choice(True, (), fallback or "base")
    return Choice(False, (named,), fallback or "error")


def one_mix(model: str, base_id: str, view: View) -> NamedMix:
    """The one mix that a model string names; ``base`` means the base model. Raises InvalidRequest, AdapterNotFound."""
    terms = mix_named(model, base_id)
    return _found(terms, base_id, view, "model") if terms else NamedMix()


def _composed(
    composition: Mapping[str, Any], base_id: str, view: View, param: str, fallback: Literal["base", "error"]
) -> Choice:
    """The choice of a composition, its adapters looked up."""
    part = compose(composition, param)
    if isinstance(part, Group) and part.is_plain:
        return Choice(False, (_found(part.mix, base_id, view, param),), fallback)
    mixes = [_found(mix, base_id, view, param) if mix else NamedMix() for mix in mixes_of(part)]
    found = part.called(lambda name: _entry(name, base_id, view, param))
    asked = [NamedMix((Term(entry),)) for entry in found.subjects]
    return Choice(False, tuple(dict.fromkeys((*mixes, *asked))), fallback, found)


def _fork_mix(name: str | None, base_id: str, view: View) -> NamedMix:
    if name is None:
        return NamedMix()
    parsed = _parse(name, base_id, view, allow_auto=False)
    if parsed is None:
        raise InvalidRequest(
            "adaptrix.fork cannot contain 'auto'; name adapters, or null for the base", param="adaptrix.fork"
        )
    for term in parsed.terms:
        _require_one_mix(term.adapter, "adaptrix.fork")
    return parsed


def _parse(model: str, base_id: str, view: View, allow_auto: bool) -> NamedMix | None:
    """The mix that ``model`` names, or None for ``auto``."""
    if model == AUTO:
        return None
    if model == base_id:
        return NamedMix()
    names = model.removeprefix(f"{base_id}:")
    others = (AUTO, base_id) if allow_auto else (base_id,)
    if not set("*+[") & set(names):
        entry = view.find(names)
        if entry is None:
            raise view.not_found(model, others)
        return NamedMix((Term(entry),))
    return _found(parse_mix(model, base_id), base_id, view, "model")


def _entry(name: str, base_id: str, view: View, param: str) -> Entry:
    entry = view.find(name)
    if entry is None:
        raise view.not_found(name, (base_id,), param)
    return entry


def _found(mix: Sequence[Term[str]], base_id: str, view: View, param: str) -> NamedMix:
    """The mix with its adapters looked up. Raises AdapterNotFound, InvalidRequest."""
    check_mix(mix, is_request=True, param=param)
    terms = tuple(term.called(_entry(term.adapter, base_id, view, param)) for term in mix)
    check_repeated([term.called(term.adapter.package_digest) for term in terms], param)  # under different names too
    for term in terms:
        _require_one_mix(term.adapter, param)
    return NamedMix(terms)


def _require_one_mix(entry: Entry, param: str) -> None:
    """Raise InvalidRequest for a composition of several rows or steps: it is a whole answer, and no part of another."""
    signed = NamedMix((Term(entry),)).signed
    if signed is not None:
        raise InvalidRequest(
            f"{entry.public_name!r} is a composition that is {kind_of(signed.part)}, not one mix, so it stands in no "
            f"mix, fork or other composition; set model to {entry.public_name!r} alone",
            param=param,
        )
