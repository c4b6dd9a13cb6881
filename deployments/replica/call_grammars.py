"""The sampling arguments of a call: the form of its text, and its calls of functions, as a grammar."""

from __future__ import annotations

import asyncio
from typing import Any

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.rows.call_grammar import CallRules
from deployments.shared.wire import GenerateCall


class CallGrammars:
    """For one base model, whose chat template says how calls of functions are written."""

    def __init__(self, base: BaseModel) -> None:
        self._rules = CallRules(base)

    def form_of(self, call: GenerateCall) -> str | None:
        """Name of the form in which the call's answer writes calls of functions; None where it may not."""
        return None if call.chat.toolset is None else self._rules.form.name

    async def arguments(self, call: GenerateCall) -> dict[str, Any]:
        """Keyword arguments of SamplingParams. Raises InvalidRequest for a form that cannot be used.

        A grammar is written in another thread: large schemas take some ten milliseconds, which no stream shall wait.
        """
        toolset, form = call.chat.toolset, call.output_form
        if toolset is not None:
            return {**call.sampling, **await asyncio.to_thread(self._rules.sampling, toolset, form)}
        return {**call.sampling, "grammar": None if form is None else await asyncio.to_thread(form.grammar)}
