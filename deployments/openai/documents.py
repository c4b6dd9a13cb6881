"""Builds OpenAI's response documents from pieces: chat or text completions, whole or as chunks of a stream.

Knows the documents' shapes. Does not know HTTP, SSE framing or where the pieces come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.openai.call_documents import RowCalls
from deployments.openai.logprob_documents import Offsets, by_number, chat_logprobs, joined, text_logprobs
from deployments.openai.prompt_documents import echoed_logprobs, prompt_logprobs
from deployments.openai.row_judge import RowJudge
from deployments.shared.wire import Piece, PromptSeen

Kind = Literal["chat", "text"]


@dataclass(frozen=True)
class AnswerHead:
    """The fields that every document of one response repeats."""

    kind: Kind
    response_id: str
    created: int
    model: str
    answered_by: tuple[Mapping[str, Any], ...] = ()
    """Who answers, for each fork, or for each prompt where prompts were routed apart; empty where it is one adapter."""
    rows_per_fork: int = 1
    rows_per_prompt: int = 1
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the ``adaptrix`` member of whole documents says; empty where there is nothing to say."""
    judge: RowJudge | None = None
    """Says how sure each finished choice is, where that is asked for."""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    """What a finished choice tells of the answers before it that were not sure enough (`generation/until_sure.py`)."""
    shows_logprobs: bool = True
    """Whether the client has asked for log-probabilities; estimators need them in any case."""
    shows_token_ids: bool = False
    """Whether choices tell the ids of their tokens, and the prompt's."""
    numbers_tokens: bool = False
    """Whether tokens are written as ``token_id:123`` beside log-probabilities."""
    echo: bool = False
    """Whether the text begins with the prompt's."""
    steps: tuple[tuple[str, ...], ...] = ((),)
    """The parts of a sequence, in order, where one answers: for each prompt, or once where one answers all."""
    changes: tuple[tuple[str, ...], ...] = ((),)
    """Likewise, who answers after each change of mix, by its number (`Piece.began`, `Piece.switched_to`)."""
    shows_prompt_logprobs: bool = False
    """Whether the log-probabilities of the prompt's tokens are told apart from the answer's."""

    def first_of_fork(self, index: int) -> int:
        """The row under the same mix that tells of the prompt, for all choices of that mix."""
        return index - index % self.rows_per_fork

    def prompt_of(self, index: int) -> int:
        """Number of the prompt that a row answers."""
        return index // self.rows_per_prompt

    def shown(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces whose log-probabilities are told, in the form that is asked for."""
        if not self.shows_logprobs:
            return ()
        return by_number(pieces) if self.numbers_tokens else pieces

    def echoed(self, seen: PromptSeen, offsets: Offsets) -> dict[str, Any] | None:
        """The log-probabilities of the prompt before those of the answer, where they are told."""
        return echoed_logprobs(seen, offsets, self.numbers_tokens) if self.shows_logprobs else None

    def look(self, piece: Piece) -> None:
        """Note what a piece shows of how sure its row is; earlier steps of a sequence are not the answer."""
        if self.judge is not None and not piece.is_inner:
            self.judge.look(piece)

    def extra(self, index: int, is_finished: bool, steps: Sequence[str] = ()) -> dict[str, Any]:
        """The ``adaptrix`` member of a choice: the adapter, where not one answers all, and how sure a finished row is.

        steps: the texts of the earlier steps of a sequence. Raises ExtensionError.
        """
        answered: dict[str, Any] = {}
        if self.answered_by:
            answered |= self.answered_by[(index // self.rows_per_fork) % len(self.answered_by)]
        if self.judge is not None and is_finished:
            answered |= {**self.judge.told(index), **self.outcome}
        if steps:
            answered["steps"] = [
                {"adapter": self.step_label(index, number), "text": text} for number, text in enumerate(steps)
            ]
        return {"adaptrix": answered} if answered else {}

    def step_label(self, index: int, number: int) -> str:
        """Who answers a step of a row's sequence; a planner's further questions go to the last part."""
        steps = self.steps[self.prompt_of(index) % len(self.steps)]
        return steps[min(number, len(steps) - 1)]

    def changed_to(self, index: int, *numbers: int | None) -> list[str]:
        """Who takes over the answer of a row with the changes of these numbers, in order; None is no change."""
        changes = self.changes[self.prompt_of(index) % len(self.changes)]
        return [changes[number] for number in numbers if number is not None and changes]

    def document(self, name: str, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A response document called ``name``."""
        return {
            "id": self.response_id,
            "object": name,
            "created": self.created,
            "model": self.model,
            "choices": list(choices),
            **({"adaptrix": dict(self.about)} if self.about else {}),
        }


@dataclass
class Usage:
    """Counts tokens. Each prompt counts once, whatever its number of choices."""

    completion: int = 0
    inner: int = 0
    """Those of them that are no part of the answer: of earlier steps, and of votes that were lost."""
    prompts: dict[tuple[int, int | None], int] = field(default_factory=dict)
    """Number of tokens by number of the prompt, and of the step of a sequence."""
    cached: dict[tuple[int, int | None], int] = field(default_factory=dict)
    """Likewise, those of the tokens that its first row found in the cache."""

    def count(self, pieces: Iterable[Piece], rows_per_prompt: int) -> None:
        """Count the tokens of these pieces."""
        for piece in pieces:
            self.completion += piece.token_id is not None
            prompt = piece.row // rows_per_prompt, piece.step
            self.prompts[prompt] = piece.prompt_tokens
            if piece.cached_tokens and piece.row % rows_per_prompt == 0:
                self.cached[prompt] = piece.cached_tokens
            if piece.is_inner or piece.other_tokens:
                self.completion += piece.other_tokens
                self.inner += piece.other_tokens + (piece.is_inner and piece.token_id is not None)

    def document(self) -> dict[str, Any]:
        """OpenAI's usage document."""
        prompt = sum(self.prompts.values())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.completion,
            "total_tokens": prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": sum(self.cached.values())},
            **({"completion_tokens_details": {"reasoning_tokens": self.inner}} if self.inner else {}),
        }


@dataclass
class _Row:
    text: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    seen: PromptSeen | None = None
    token_ids: list[int] = field(default_factory=list)
    steps: dict[int, list[str]] = field(default_factory=dict)
    """The text of each earlier step of a sequence."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """Who took over in mid-answer, and after how many tokens."""


class _CallForm:
    """The form in which a chat's answers write calls, once a piece has told it; None where they may not."""

    def __init__(self) -> None:
        self._name: str | None = None

    def look(self, piece: Piece) -> None:
        self._name = self._name or piece.call_form

    def row(self) -> RowCalls | None:
        return None if self._name is None else RowCalls(self._name)


class WholeAnswer:
    """Gathers all pieces of a response that is not streamed."""

    def __init__(self, head: AnswerHead, num_rows: int) -> None:
        self._head = head
        self._rows = [_Row() for _ in range(num_rows)]
        self._num_logprobs = 0
        self._prompts: dict[int, tuple[int, ...]] = {}
        """Token ids by number of the prompt."""
        self._call_form = _CallForm()

    def add_pieces(self, pieces: Iterable[Piece]) -> None:
        """Append pieces, in any order of rows. Raises InvalidRequest for too many log-probabilities for one answer."""
        for piece in pieces:
            row = self._rows[piece.row]
            if piece.is_inner:
                row.steps.setdefault(piece.step or 0, []).append(piece.text)
                continue
            self._call_form.look(piece)
            self._head.look(piece)
            row.text.append(piece.text)
            row.seen = row.seen or piece.prompt
            if piece.token_id is not None:
                row.token_ids.append(piece.token_id)
            for after, number in ((0, piece.began), (len(row.token_ids), piece.switched_to)):
                row.changes += [{"after": after, "adapter": who} for who in self._head.changed_to(piece.row, number)]
            if piece.prompt_token_ids:
                self._prompts[self._head.prompt_of(piece.row)] = piece.prompt_token_ids
            if piece.logprob is not None:
                row.pieces.append(piece)
                self._num_logprobs += 1 + len(piece.top)
            for token in (piece.prompt.scored or ()) if piece.prompt else ():
                self._num_logprobs += 1 + len(token.top)
            if piece.finish_reason is not None:
                row.finish_reason, row.stop_reason = piece.finish_reason, piece.stop_reason
        if self._num_logprobs > MOST.answer_logprobs:
            raise InvalidRequest(
                f"the answer holds more than {MOST.answer_logprobs} log-probabilities (the tokens of all choices, and "
                "the likeliest ones for each); stream it, or ask for fewer",
                code="too_many_logprobs",
                param="logprobs",
            )

    def document(self, usage: Usage) -> dict[str, Any]:
        """The finished response."""
        name = "chat.completion" if self._head.kind == "chat" else "text_completion"
        choices = [self._choice(index, row) for index, row in enumerate(self._rows)]
        told = self._of_prompt(0) if self._head.kind == "chat" else {}
        return {**self._head.document(name, choices), "usage": usage.document(), **told}

    def _of_prompt(self, index: int) -> dict[str, Any]:
        """The members that tell of the prompt's tokens, where asked for."""
        seen = self._rows[self._head.first_of_fork(index)].seen
        told: dict[str, Any] = {}
        if seen and self._head.shows_prompt_logprobs:
            told["prompt_logprobs"] = prompt_logprobs(seen)
        if self._head.shows_token_ids:
            told["prompt_token_ids"] = list(self._prompts.get(self._head.prompt_of(index), ()))
        return told

    def _choice(self, index: int, row: _Row) -> dict[str, Any]:
        text = "".join(row.text)
        ended = {"finish_reason": row.finish_reason, "stop_reason": row.stop_reason}
        steps = ["".join(texts) for texts in row.steps.values()]
        shared = {"index": index, **ended, **self._head.extra(index, is_finished=True, steps=steps)}
        if row.changes:
            shared["adaptrix"] = {**shared.get("adaptrix", {}), "changes": row.changes}
        if self._head.shows_token_ids:
            shared["token_ids"] = row.token_ids
        shown = self._head.shown(row.pieces)
        if self._head.kind == "chat":
            return {**shared, **self._message(row, text), "logprobs": chat_logprobs(shown)}
        offsets = Offsets()
        begun = self._rows[self._head.first_of_fork(index)].seen if self._head.echo else None
        echoed = self._head.echoed(begun, offsets) if begun else None
        logprobs = joined(echoed, text_logprobs(shown, offsets))
        text = begun.text + text if begun else text
        return {**shared, "text": text, "logprobs": logprobs, **self._of_prompt(index)}

    def _message(self, row: _Row, text: str) -> dict[str, Any]:
        """The members of a chat's choice that say what the answer is, and how it ended."""
        calls = self._call_form.row()
        if calls is None:
            return {"message": {"role": "assistant", "content": text, "refusal": None}}
        return {
            "message": calls.message(text, row.finish_reason),
            "finish_reason": calls.finish_reason(row.finish_reason),
        }


class ChunkedAnswer:
    """Turns pieces into the documents of a stream, in order."""

    def __init__(self, head: AnswerHead, num_rows: int) -> None:
        self._head = head
        self._offsets = [Offsets() for _ in range(num_rows)]
        self._seen: dict[int, PromptSeen] = {}
        self._echoed: set[int] = set()
        self._begun: set[int] = set()
        """Rows of a chat whose role is told, where it tells ids."""
        self._call_form = _CallForm()
        self._calls: dict[int, RowCalls | None] = {}

    def opening(self) -> list[dict[str, Any]]:
        """The first documents: a chat begins with the role, which waits for the prompt's ids where those are told."""
        if self._head.kind == "text" or self._head.shows_token_ids:
            return []
        return [self._role(index) for index in range(len(self._offsets))]

    def _role(self, index: int) -> dict[str, Any]:
        return self._chunk({"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})

    def _told_ids(self, index: int, said: Sequence[Piece]) -> list[dict[str, Any]]:
        """The first document of a chat's row that tells token ids: the role, and the prompt's ids, as vLLM does."""
        if self._head.kind == "text" or not self._head.shows_token_ids or index in self._begun:
            return []
        self._begun.add(index)
        return [{**self._role(index), **_prompt_ids(said)}]

    def chunks(self, pieces: Iterable[Piece]) -> list[dict[str, Any]]:
        """One document for each row's text, in the order of the rows' first pieces."""
        rows: dict[int, list[Piece]] = {}
        echoes: list[dict[str, Any]] = []
        for piece in pieces:
            if piece.is_inner:
                echoes += self._of_inner(piece)
                continue
            self._call_form.look(piece)
            if piece.prompt is not None:
                self._seen[piece.row] = piece.prompt
            seen = self._seen.get(self._head.first_of_fork(piece.row))
            if self._head.echo and seen is not None and piece.row not in self._echoed:
                self._echoed.add(piece.row)
                echoes.append(self._echo(piece.row, seen))
            self._head.look(piece)
            if self._shows(piece):
                rows.setdefault(piece.row, []).append(piece)
        said = [document for index, said in rows.items() for document in self._documents_of(index, said)]
        return [*echoes, *said]

    def _documents_of(self, index: int, said: Sequence[Piece]) -> list[dict[str, Any]]:
        document = self._of(index, said)
        return [*self._told_ids(index, said), *([] if document is None else [document])]

    def _of_inner(self, piece: Piece) -> list[dict[str, Any]]:
        """The document of a piece of an earlier step: its text stands beside the answer, not in it."""
        if not piece.text:
            return []
        number = piece.step or 0
        told = {"step": number, "adapter": self._head.step_label(piece.row, number), "text": piece.text}
        said: dict[str, Any] = {"delta": {}} if self._head.kind == "chat" else {"text": ""}
        return [self._chunk({"index": piece.row, "finish_reason": None, **said, "logprobs": None, "adaptrix": told})]

    def _shows(self, piece: Piece) -> bool:
        """Whether a piece says anything that its client asked for."""
        if piece.text or piece.finish_reason or (piece.logprob and self._head.shows_logprobs):
            return True
        if self._head.changed_to(piece.row, piece.began, piece.switched_to):
            return True
        return self._head.shows_token_ids and piece.token_id is not None

    def _echo(self, index: int, seen: PromptSeen) -> dict[str, Any]:
        logprobs = self._head.echoed(seen, self._offsets[index])
        return self._chunk({"index": index, "finish_reason": None, "text": seen.text, "logprobs": logprobs})

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The document before the end, for clients that asked for it."""
        return {**self._head.document(self._name, []), "usage": usage.document()}

    @property
    def _name(self) -> str:
        return "chat.completion.chunk" if self._head.kind == "chat" else "text_completion"

    def _of(self, index: int, said: Sequence[Piece]) -> dict[str, Any] | None:
        """The document of a row's next pieces; None where they say nothing that can be told yet."""
        last = said[-1]
        ended = {"stop_reason": last.stop_reason} if last.finish_reason else {}
        shared = {
            "index": index,
            "finish_reason": last.finish_reason,
            **ended,
            **self._head.extra(index, bool(last.finish_reason)),
        }
        if last.step is not None:
            shared["adaptrix"] = {**shared.get("adaptrix", {}), "step": last.step}
        numbers = (number for piece in said for number in (piece.began, piece.switched_to))
        if changed := self._head.changed_to(index, *numbers):
            shared["adaptrix"] = {**shared.get("adaptrix", {}), "changed_to": changed[-1]}
        if self._head.shows_token_ids:
            shared["token_ids"] = [piece.token_id for piece in said if piece.token_id is not None]
            shared |= _prompt_ids(said) if self._head.kind == "text" else {}
        text = "".join(piece.text for piece in said)
        shown = self._head.shown(said)
        if self._head.kind == "chat":
            delta, finish_reason = self._delta(index, text, last.finish_reason)
            if not (delta or finish_reason or shown or changed or self._head.shows_token_ids):
                return None  # the beginning of a call, whose function is not known yet
            shared["finish_reason"] = finish_reason
            return self._chunk({**shared, "delta": delta, "logprobs": chat_logprobs(shown)})
        return self._chunk({**shared, "text": text, "logprobs": text_logprobs(shown, self._offsets[index])})

    def _delta(self, index: int, text: str, finish_reason: str | None) -> tuple[dict[str, Any], str | None]:
        """A chat's ``delta``, and how the row has ended, if it has."""
        if index not in self._calls:
            self._calls[index] = self._call_form.row()
        calls = self._calls[index]
        if calls is None:
            return ({"content": text} if text else {}), finish_reason
        return calls.delta(text, finish_reason), calls.finish_reason(finish_reason)

    def _chunk(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        return self._head.document(self._name, [choice])


def _prompt_ids(said: Iterable[Piece]) -> dict[str, Any]:
    """``prompt_token_ids``, in the pieces that have them."""
    return next(({"prompt_token_ids": list(ids)} for piece in said if (ids := piece.prompt_token_ids)), {})
