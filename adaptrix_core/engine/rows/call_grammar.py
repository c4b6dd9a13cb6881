"""The grammar of an answer that may call functions: what follows a call's opening is a call, with valid arguments.

In llguidance's Lark notation. Where the model is free to call or not, the grammar leaves its text alone until it opens
a call by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.rows.output_form import COMPACT, OutputForm, closed
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from adaptrix_core.tools.call_form import CallForm
from adaptrix_core.tools.toolset import Function, Toolset

TEXT = r"/(.|\n)*/"


class CallRules:
    """How the answers of one base model are held to calls, which its chat template says how to write."""

    def __init__(self, base: BaseModel) -> None:
        self.form, self._is_native = base.calls.form, base.calls.is_native
        added: dict[str, int] = {} if base.tokenizer is None else base.tokenizer.get_added_vocab()
        markers = (self.form.opening, self.form.closing)
        self._marker_ids = {marker: added[marker] for marker in markers if marker in added}
        special = () if base.tokenizer is None else base.tokenizer.all_special_ids
        self._hides_markers = not set(special).isdisjoint(self._marker_ids.values())

    def sampling(self, toolset: Toolset, text_form: OutputForm | None = None) -> dict[str, Any]:
        """Arguments of SamplingParams for an answer that may call these functions. Raises as `call_grammar`."""
        if toolset.is_parallel is None:
            toolset = replace(toolset, is_parallel=self._is_native)
        shown = {"skip_special_tokens": False} if self._hides_markers else {}
        return {**shown, "grammar": call_grammar(toolset, self.form, text_form, self._marker_ids)}


def call_grammar(
    toolset: Toolset, form: CallForm, text_form: OutputForm | None = None, marker_ids: Mapping[str, int] | None = None
) -> str:
    """The grammar in llguidance's serialised form.

    text_form: what an answer without calls must look like; None for free text. marker_ids: the token ids of those
    markers of the form that are single tokens of the model's. Raises InvalidRequest for a form that cannot be combined,
    and for schemas that are too long together.
    """
    import llguidance  # here, so that who only hands tools on does not load it

    markers = marker_ids or {}
    opening, closing = _literal(form.opening, markers), _literal(form.closing, markers)
    alternatives = " | ".join(f"call_{index}" for index in range(len(toolset.callable_functions)))
    rules = [*_start(toolset, form, text_form), f"one: {opening} rest", f"rest: ({alternatives}) {closing}"]
    if form.opening in markers:
        rules.append(f"opened: TEXT {opening}")
    elif form.opening:
        rules.append(f"opened[lazy]: TEXT {opening}")
    length = 0
    for index, function in enumerate(toolset.callable_functions):
        head, after = _head(form, function), json.dumps(form.after_arguments)
        rules.append(f"call_{index}: {head} %json {json.dumps(_arguments(function))} {after}")
        length += len(rules[-1])
        if length > MOST.grammar_characters:  # before the rest of it is written, too
            raise InvalidRequest(
                f"the schemas of the tools have more than {MOST.grammar_characters} characters together; send fewer "
                "tools, or shorter schemas",
                code="grammar_too_large",
                param="tools",
            )
    text = "\n".join(["%llguidance {}", *rules, "TEXT: " + TEXT, ""])
    return str(llguidance.grammar_from("lark", text))


def _start(toolset: Toolset, form: CallForm, text_form: OutputForm | None) -> list[str]:
    """The rules of the whole answer."""
    several = toolset.is_parallel and form.between is not None
    more = f" ({json.dumps(form.between)} one){{0,{MOST.calls - 1}}}" if several else ""
    if toolset.must_call:
        return ["start: one" + more]
    if text_form is not None:
        return [f"start: one{more} | said", "said: " + _text_rule(text_form)]
    if form.opening:
        return [f"start: said | opened rest{more}", "said: TEXT"]
    # Text that begins as a call does would be read as one: it may not.
    return [f"start: said | one{more}", f"said: /([^{form.before_name[0]}](.|\n)*)?/"]


def _text_rule(form: OutputForm) -> str:
    """A form of text as a part of a rule."""
    if form.kind == "json_schema":
        schema = form.value if isinstance(form.value, Mapping) else {}
        return "%json " + json.dumps({"x-guidance": COMPACT, **closed(dict(schema))})
    if form.kind == "choice":
        return "(" + " | ".join(json.dumps(text) for text in form.value) + ")"
    raise InvalidRequest(
        f"{form.field} is a {form.kind}, which cannot be combined with tools; send a JSON schema or a choice, or set "
        'tool_choice to "none" or "required"',
        param=form.field,
    )


def _head(form: CallForm, function: Function) -> str:
    """The text before a call's arguments.

    In a form without a marker it is written in the same pieces as other JSON, `{` and `"name"` and so on: the library's
    lexer takes the longest piece that fits and never goes back, so a longer one would rule out all other JSON.
    """
    head = form.head(function.name)
    pieces = [head] if form.opening else re.findall(r'"[^"]*"|[^"]+', head)
    return " ".join(map(json.dumps, pieces))


def _literal(marker: str, marker_ids: Mapping[str, int]) -> str:
    """A marker in the grammar: a token where it is one, for the library keeps these apart from text."""
    if not marker:
        return ""
    return f"<[{marker_ids[marker]}]>" if marker in marker_ids else json.dumps(marker)


def _arguments(function: Function) -> dict[str, Any]:
    """The schema that the arguments are held to: an object's, with the library's options for JSON."""
    options: dict[str, Any] = {**COMPACT, **({} if function.is_strict else {"lenient": True})}
    return {"x-guidance": options, "type": "object", **closed(dict(function.schema))}
