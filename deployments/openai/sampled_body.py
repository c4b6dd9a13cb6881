"""The fields by which clients say how tokens are chosen, and where an answer ends. Names are OpenAI's, then vLLM's.

Ranges are those of the engine (`request_limits.py` in the core).
"""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Interval
from pydantic import Field

from adaptrix_core.request_limits import MOST, SAMPLING_RANGES
from deployments.openai.field_types import LogitBias, Stop, TokenId, within
from deployments.openai.formed_body import FormedBody

BadWord = Annotated[str, Field(min_length=1, max_length=MOST.stop_characters)]


class SampledBody(FormedBody):
    """Parameters of sampling that both endpoints spell alike."""

    n: Annotated[int, within("n")] = 1
    # Null here is left to the adapter, then the model, then our defaults: the replica knows them.
    temperature: Annotated[float | None, within("temperature")] = None
    top_p: Annotated[float | None, within("top_p")] = None
    top_k: Annotated[int | None, Interval(ge=-1, le=SAMPLING_RANGES["top_k"].high)] = None
    """-1 and 0 both keep the whole vocabulary."""
    min_p: Annotated[float | None, within("min_p")] = None
    seed: Annotated[int | None, within("seed")] = None
    presence_penalty: Annotated[float, within("presence_penalty")] = 0.0
    frequency_penalty: Annotated[float, within("frequency_penalty")] = 0.0
    repetition_penalty: Annotated[float | None, within("repetition_penalty")] = None
    logit_bias: LogitBias | None = None
    allowed_token_ids: (
        Annotated[list[TokenId], Field(min_length=1, max_length=MOST.allowed_tokens, fail_fast=True)] | None
    ) = None
    """The only tokens that may be chosen."""
    bad_words: Annotated[list[BadWord], Field(max_length=MOST.bad_words, fail_fast=True)] | None = None
    """Texts that are not generated."""
    stop: Stop | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MOST.stop_tokens, fail_fast=True)] | None = None
    """Tokens that end the answer, beside the model's own ends."""
    include_stop_str_in_output: bool = False
    """Whether the text holds the stop string or stop token that ended it."""
    ignore_eos: bool = False
    min_tokens: Annotated[int, within("min_tokens")] = 0
    """Tokens before which nothing ends the answer."""
    skip_special_tokens: bool = True

    def shared_sampling(self) -> dict[str, Any]:
        """Keyword arguments of ``SamplingParams`` that both endpoints spell alike."""
        return {
            "n": self.n,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": None if self.top_k is None else max(self.top_k, 0),
            "min_p": self.min_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
            "logit_bias": dict(self.logit_bias) if self.logit_bias else None,
            "allowed_token_ids": tuple(self.allowed_token_ids) if self.allowed_token_ids else None,
            "bad_words": tuple(self.bad_words or ()),
            "stop": tuple([self.stop] if isinstance(self.stop, str) and self.stop else self.stop or ()),
            "stop_token_ids": tuple(self.stop_token_ids or ()),
            "include_stop_str_in_output": self.include_stop_str_in_output,
            "ignore_eos": self.ignore_eos,
            "min_tokens": self.min_tokens,
            "skip_special_tokens": self.skip_special_tokens,
        }
