"""Call forms: how a call of a function is written in the text of an answer, by the model's chat template.

Models were trained on one way to write calls, which their templates show. A template that knows none, or one that isn't
listed here, gets the stated form, which is that of Hermes, Qwen and SmolLM3 (`stated_prompt.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class CallForm:
    """The fixed texts around a call's name and its arguments, in the order in which they are written."""

    name: str
    opening: str
    """Marker that begins every call, wherever it stands; empty where only an answer that begins with `before_name`
    is a call."""
    before_name: str
    before_arguments: str
    after_arguments: str
    closing: str
    """Marker that ends a call; may be empty."""
    between: str | None
    """Text between two calls of one answer; None where there can be one only."""

    def head(self, function: str) -> str:
        """All that stands before the arguments, without the opening marker."""
        return f"{self.before_name}{function}{self.before_arguments}"

    def written(self, function: str, arguments: str) -> str:
        """A whole call. arguments: their JSON text."""
        return f"{self.opening}{self.head(function)}{arguments}{self.after_arguments}{self.closing}"


HERMES = CallForm("hermes", "<tool_call>", '\n{"name": "', '", "arguments": ', "}\n", "</tool_call>", "\n")
LLAMA = CallForm("llama", "", '{"name": "', '", "parameters": ', "}", "", None)
FORMS: Mapping[str, CallForm] = {form.name: form for form in (HERMES, LLAMA)}
"""Every form by its name, which is what travels between processes."""
STATED = HERMES
"""The form that models are told of whose templates know none."""


@dataclass(frozen=True)
class TemplateCalls:
    """What a chat template knows of calls."""

    form: CallForm
    is_native: bool
    """Whether the template itself describes functions, and writes calls and their results in this form."""


@lru_cache(16)
def calls_of_template(template: str) -> TemplateCalls:
    """The form in which the model of this chat template (Jinja) writes calls.

    Recognised by what the template itself writes out: a marker, and the names of JSON members.
    """
    if "tools" in template:
        if "<tool_call>" in template and "arguments" in template and "<function=" not in template:
            return TemplateCalls(HERMES, True)
        if '"parameters": ' in template and "<tool_call>" not in template and "[TOOL_CALLS]" not in template:
            return TemplateCalls(LLAMA, True)
    return TemplateCalls(STATED, False)
