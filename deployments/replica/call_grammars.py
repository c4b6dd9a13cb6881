"""The sampling arguments of a call: the form of its text, and its calls of functions, as a grammar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.rows.call_grammar import call_grammar
from deployments.shared.wire import GenerateCall


class CallGrammars:
    """For one base model, whose chat template says how calls of functions are written."""

    def __init__(self, base: BaseModel) -> None:
        self._form, self._is_native = base.calls.form, base.calls.is_native
        added: dict[str, int] = {} if base.tokenizer is None else base.tokenizer.get_added_vocab()
        markers = (self._form.opening, self._form.closing)
        self._marker_ids = {marker: added[marker] for marker in markers if marker in added}
        special = () if base.tokenizer is None else base.tokenizer.all_special_ids
        self._hides_markers = not set(special).isdisjoint(self._marker_ids.values())

    def form_of(self, call: GenerateCall) -> str | None:
        """Name of the form in which the call's answer writes calls of functions; None where it may not."""
        return None if call.chat.toolset is None else self._form.name

    def arguments(self, call: GenerateCall) -> dict[str, Any]:
        """Keyword arguments of SamplingParams. Raises InvalidRequest for a form that cannot be used."""
        toolset, form = call.chat.toolset, call.output_form
        if toolset is None:
            return {**call.sampling, "grammar": None if form is None else form.grammar()}
        if toolset.is_parallel is None:
            toolset = replace(toolset, is_parallel=self._is_native)
        shown = {"skip_special_tokens": False} if self._hides_markers else {}
        return {**call.sampling, **shown, "grammar": call_grammar(toolset, self._form, form, self._marker_ids)}
