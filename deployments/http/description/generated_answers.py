"""The answers of the endpoints that generate, whole and as events of a stream."""

from __future__ import annotations

from typing import Literal

from deployments.http.description.answers import Document


class PromptTokensDetails(Document):
    """Of the prompts' tokens."""

    cached_tokens: int
    """Tokens that needed no computing, as their keys and values were in the cache; known once a choice has ended."""


class CompletionTokensDetails(Document):
    """Of the tokens that were generated."""

    reasoning_tokens: int
    """Those that are no part of the answer: of earlier steps of a sequence, and of votes that were lost."""


class UsageDocument(Document):
    """Tokens; prompts count once each, and once for each step of a sequence."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails | None = None
    """Where a sequence or a vote answers."""


class TokenScores(Document):
    """Numbers of every token, in order."""

    logprobs: list[float]
    entropies: list[float]
    """In nats."""
    margins: list[float]
    """Probability of the likeliest token minus that of the second."""


class Attempt(Document):
    """An answer that was not sure enough, and not given."""

    adapter: str
    confidence: float | None
    completion_tokens: int


class EarlierStep(Document):
    """A step of a sequence before the last one."""

    adapter: str
    text: str


class MixChange(Document):
    """A change of who answers, in mid-answer or before it."""

    after: int
    """Tokens of the answer before it; 0 where the question has decided who begins."""
    adapter: str


class Answered(Document):
    """Who gave a choice, where not one adapter answers all (a fork, a composition, prompts that were routed apart), and
    how sure the choice is, where scores were asked for."""

    adapter: str | None = None
    digest: str | None = None
    """Package digests of its adapters, joined by `+`; empty for the base model."""
    parts: dict[str, str] | None = None
    """Where a composition answers: package digest of each part, by ``name@version``."""
    steps: list[EarlierStep] | None = None
    """Where a sequence answers: its steps before the last one, in order."""
    step: int | None = None
    """In a stream: the step that the event is of, from 0."""
    text: str | None = None
    """In a stream: new text of an earlier step, which is no part of the answer."""
    changes: list[MixChange] | None = None
    """Where conditions changed who answers: by whom it went on."""
    changed_to: str | None = None
    """In a stream: who answers from here on."""
    route_score: float | None = None
    """Where the router chose for this prompt alone: the score."""
    scores: dict[str, float] | None = None
    """By confidence estimator; in the last event of a streamed choice. Scores are no probabilities."""
    confidence: float | None = None
    """Where asked for: the calibrated probability that the choice is right; null where nothing is calibrated for it."""
    token_scores: TokenScores | None = None
    attempts: list[Attempt] | None = None
    """With ``min_confidence``: the answers before this one that were not sure enough, in their order."""
    instead_of_an_answer: Literal["abstain", "ask"] | None = None
    """With ``min_confidence``: the text is the server's own, as no answer was sure enough."""
    below_min_confidence: bool | None = None
    """True where no answer was sure enough and this is the surest."""


class AboutAnswer(Document):
    """What is to be known of the whole answer."""

    fallback: str | None = None
    """Why the base model answers in place of what was asked for."""
    warnings: list[str] | None = None
    """What is known of a mix that spoils its adapters' answers, each beginning with a code and a colon."""


class LikelyToken(Document):
    """A token that could have been chosen."""

    token: str
    logprob: float
    bytes: list[int] | None
    """The token's own bytes; null where it is no part of the text."""


class ChosenToken(LikelyToken):
    """A token that was chosen, and the likeliest ones in its place."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(Document):
    """One entry per token."""

    content: list[ChosenToken]
    refusal: None


class TextLogprobs(Document):
    """Four lists of one entry per token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """Null for the first token of an echoed prompt, as nothing precedes it."""
    top_logprobs: list[dict[str, float] | None]
    """The chosen token and the likeliest ones."""
    text_offset: list[int]
    """Characters before the token in the text."""


FinishReason = Literal["stop", "length"]
ChatFinishReason = Literal["stop", "length", "tool_calls"]


class MadeFunctionCall(Document):
    """The function that is called."""

    name: str
    arguments: str
    """JSON text, valid by the function's schema unless the answer was cut."""


class MadeCall(Document):
    """A call of a function; its caller runs it."""

    id: str
    """What the result's ``tool_call_id`` names."""
    type: Literal["function"]
    function: MadeFunctionCall


class AssistantMessage(Document):
    """May be sent back as it is."""

    role: Literal["assistant"]
    content: str | None
    """Null where the answer is calls alone."""
    refusal: None
    tool_calls: list[MadeCall] | None = None


class PromptTokenScore(Document):
    """A token that stands in the prompt, or could have stood there."""

    logprob: float
    rank: int
    """1 for the likeliest."""
    decoded_token: str


PromptLogprobs = list[dict[str, PromptTokenScore] | None]
"""By token of the prompt, then by token id; null for the first token, as nothing precedes it."""


class ChatChoice(Document):
    """One answer."""

    index: int
    finish_reason: ChatFinishReason
    stop_reason: str | int | None
    """The stop string, or the token of `stop_token_ids`, that ended it; null where it ended by itself."""
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    token_ids: list[int] | None = None
    adaptrix: Answered | None = None


class ChatCompletion(Document):
    """The answer of ``POST /v1/chat/completions``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    """Who answered: the base model's id, an adapter or a mix."""
    choices: list[ChatChoice]
    usage: UsageDocument
    prompt_logprobs: PromptLogprobs | None = None
    prompt_token_ids: list[int] | None = None
    adaptrix: AboutAnswer | None = None


class FunctionPart(Document):
    """The name in a call's first part, and more of its arguments in each."""

    name: str | None = None
    arguments: str


class CallPart(Document):
    """What an event adds to a call."""

    index: int
    """Which call of the answer."""
    id: str | None = None
    """In a call's first part, as is ``type``."""
    type: Literal["function"] | None = None
    function: FunctionPart


class Delta(Document):
    """The part of a message that an event adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[CallPart] | None = None


class ChunkChoice(Document):
    """The part of a choice that an event adds."""

    index: int
    delta: Delta
    finish_reason: ChatFinishReason | None
    stop_reason: str | int | None = None
    """In the last event of a choice."""
    logprobs: ChatLogprobs | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    """In the first event of a prompt."""
    adaptrix: Answered | None = None


class ChatCompletionChunk(Document):
    """One event of a streamed chat answer. The last one before ``[DONE]`` holds ``usage``, where it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageDocument | None = None
    adaptrix: AboutAnswer | None = None


class TextChoice(Document):
    """One answer, or what an event adds to it: then ``finish_reason`` is null until the last one."""

    index: int
    finish_reason: FinishReason | None
    stop_reason: str | int | None = None
    """The stop string, or the token of `stop_token_ids`, that ended it."""
    text: str
    logprobs: TextLogprobs | None
    prompt_logprobs: PromptLogprobs | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    adaptrix: Answered | None = None


class TextCompletion(Document):
    """The answer of ``POST /v1/completions``, and one event of a streamed one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: UsageDocument | None = None
    """Of a stream, in the last event before ``[DONE]`` where it was asked for."""
    adaptrix: AboutAnswer | None = None
