"""Sampling defaults for values that a request leaves open: the adapter's, then the model's, then ours.

As vLLM does with generation configs: every value is looked up by itself, and a value in the request always wins. Knows
the sources of values; `SamplingParams.with_defaults` applies them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_serializer

from adaptrix_core.request_limits import SAMPLING_RANGES

log = logging.getLogger(__name__)


class SamplingDefaults(BaseModel):
    """Values for requests that leave them open; None: not set here. Names and meanings are vLLM's."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    temperature: float | None = None
    """0 is greedy."""
    top_p: float | None = None
    top_k: int | None = None
    """0 keeps the whole vocabulary."""
    min_p: float | None = None
    repetition_penalty: float | None = None

    @field_validator("*")
    @classmethod
    def _within_its_limit(cls, value: float | None, info: ValidationInfo) -> float | None:
        allowed = SAMPLING_RANGES[str(info.field_name)]
        if value is not None and not allowed.allows(value):
            raise ValueError(f"{info.field_name} must be {allowed}")
        return value

    @model_serializer(mode="plain")
    def named(self) -> dict[str, Any]:
        """The values that are set, by name."""
        return {name: value for name, value in self if value is not None}

    def unless_greedy(self) -> SamplingDefaults:
        """The same without a temperature of 0."""
        return self.model_copy(update={"temperature": None}) if self.temperature == 0.0 else self


OURS = SamplingDefaults(temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, repetition_penalty=1.0)
"""OpenAI's and vLLM's defaults."""

NAMES = tuple(SamplingDefaults.model_fields)


def first_opinions(*sources: SamplingDefaults | None) -> SamplingDefaults:
    """Each value from the first source that sets it."""
    found: dict[str, Any] = {}
    for source in sources:
        found = {**(source.named() if source is not None else {}), **found}
    return SamplingDefaults(**found)


def explained(adapter: SamplingDefaults | None, model: SamplingDefaults) -> dict[str, tuple[float, str]]:
    """Each default with its source: ``adapter``, ``model`` or ``default``."""
    layers = {"default": OURS, "model": model, "adapter": adapter}
    return {name: (value, who) for who, wishes in layers.items() if wishes for name, value in wishes.named().items()}


def asked_for(mixes: Iterable[Iterable[tuple[SamplingDefaults | None, float]]]) -> SamplingDefaults | None:
    """The defaults of a request's adapters: of ``(defaults, weight)`` in a mix those of the largest weight.

    The rows of a fork are sampled alike, so that they compare: by the first of its mixes that sets anything.
    """
    return first_asked(max(mix, key=lambda term: term[1], default=(None, 0.0))[0] for mix in mixes)


def first_asked(wishes: Iterable[SamplingDefaults | None]) -> SamplingDefaults | None:
    """The first of these that sets anything: those of several mixes are a fork's."""
    return next((one for one in wishes if one is not None and one.named()), None)


def from_generation_config(document: Mapping[str, Any], origin: str) -> SamplingDefaults:
    """The defaults in a model's ``generation_config.json``; ``do_sample: false`` is greedy.

    An impossible value is left out with a warning that names ``origin``.
    """
    wishes = {name: document[name] for name in NAMES if document.get(name) is not None}
    if document.get("do_sample") is False:
        wishes["temperature"] = 0.0
    try:
        return SamplingDefaults(**wishes)
    except ValidationError as error:
        bad = {str(detail["loc"][0]): detail["input"] for detail in error.errors()}
        log.warning("%s: sampling defaults left out, as they are out of range: %s", origin, bad)
        return SamplingDefaults(**{name: value for name, value in wishes.items() if name not in bad})
