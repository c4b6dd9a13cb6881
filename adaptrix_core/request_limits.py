"""The limits of one request, in one table that the engine, the HTTP schemas, the command line and the docs read.

Knows numbers, not who checks them. What an operator can set stands in `config/sections.py`; what the model limits, its
context and its layers, is known to the model alone. A value above its limit is refused by name.
`docs/request-limits.md` is written from here.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any

LARGEST_WHOLE = 2**31 - 1
"""The largest whole number of most parameters: the largest that C's ``int`` holds."""


def _most(limit: Any, what: str, code: str | None = "invalid_request") -> Any:
    """A field of `RequestLimits`. what: the words of the docs. code: of the refusal; None where the rest is cut off."""
    return field(default=limit, metadata={"what": what, "code": code})


@dataclass(frozen=True)
class RequestLimits:
    """The most that one request may have of a thing. All limits are inclusive."""

    json_values: int = _most(
        150_000, "values of a body: numbers, strings, keys, arrays and objects", "json_too_many_values"
    )
    """64 prompts of 2048 token ids, and room. Parsing as many takes about 30 ms."""
    json_depth: int = _most(200, "levels of arrays and objects inside of one another", "json_too_deep")
    """The parser's own limit."""
    json_digits: int = _most(128, "digits of a number in a row", "number_too_long")
    """The largest integer of any field has 19; a float written with all its digits has up to 17."""
    whole_number: int = _most(LARGEST_WHOLE, "largest token id, number of tokens, and number of dimensions")

    messages: int = _most(1024, "messages")
    template_variables: int = _most(64, "variables of `chat_template_kwargs`")
    message_parts: int = _most(1024, "parts of a message")
    prompts: int = _most(64, "prompts")
    embedded_texts: int = _most(2048, "texts to embed")

    model_characters: int = _most(2048, "characters of the name of a model, an adapter or a mix")
    forks: int = _most(16, "mixes of a fork")
    mix_terms: int = _most(16, "adapters of a mix")
    mix_weight: float = _most(8.0, "magnitude of an adapter's weight in a mix")
    mix_layers: int = _most(1024, "layers, or weights by layer, of an adapter in a mix")
    composition_depth: int = _most(4, "compositions inside of one another")
    composition_parts: int = _most(32, "parts of a composition, all levels together")
    composition_steps: int = _most(8, "steps of a sequence")
    composition_rules: int = _most(8, "rules of a condition")
    condition_tokens: int = _most(256, "tokens that a condition on confidence looks at")
    combined_rows: int = _most(16, "answers that are combined at the logits or by a vote")
    plan_characters: int = _most(8192, "characters of a question of a plan")
    planned_characters: int = _most(4096, "characters of a question that is divided into steps", None)
    estimators: int = _most(8, "confidence estimators (`adaptrix.scores`)")
    confidence_fallbacks: int = _most(4, "fallbacks of an answer that is not sure enough (`adaptrix.min_confidence`)")

    tools: int = _most(128, "tools")
    tool_name_characters: int = _most(128, "characters of a tool's name")
    calls: int = _most(16, "calls of functions in one answer", None)
    message_calls: int = _most(128, "calls in an assistant's message")
    call_id_characters: int = _most(256, "characters of a call's id")

    cache_salt_characters: int = _most(256, "characters of `cache_salt`")

    stops: int = _most(16, "stop strings")
    stop_characters: int = _most(256, "characters of a stop string")
    stop_tokens: int = _most(256, "tokens of `stop_token_ids`")
    bad_words: int = _most(64, "texts of `bad_words`")
    allowed_tokens: int = _most(32_768, "tokens of `allowed_token_ids`")
    biases: int = _most(1024, "tokens of `logit_bias`")

    choices: int = _most(1024, "texts that an answer is chosen from")
    schema_name_characters: int = _most(64, "characters of the name of a JSON schema in `response_format`")
    grammar_characters: int = _most(
        256 << 10, "characters of a JSON schema, a regular expression or a grammar", "grammar_too_large"
    )
    """Counted in llguidance's form, which is about as long as the JSON schema it was made from."""
    grammar_s: float = _most(1.0, "seconds of processor time to prepare a schema or a grammar", "grammar_too_costly")
    grammars_waiting: int = _most(16, "schemas of one tenant that wait to be prepared", "overloaded")
    texts_waiting: int = _most(256, "long texts of one tenant that wait to be tokenised", "overloaded")
    labels_waiting: int = _most(16, "labels of one tenant for the router that wait to be counted", "overloaded")
    learnt_messages: int = _most(1024, "messages that the router has learnt with their text, of all callers")
    embeddings_waiting: int = _most(64, "inputs of one tenant that wait to be embedded", "overloaded")

    item_id_characters: int = _most(128, "characters of the id of a response or of an item")
    referenced_responses: int = _most(64, "responses whose items one request refers to by id")
    listed_items: int = _most(100, "items of one page of a response's input, or of a conversation")
    added_items: int = _most(20, "items that are added to a conversation at a time")
    conversation_items: int = _most(4096, "items of a conversation")
    includes: int = _most(16, "entries of `include`")
    metadata_pairs: int = _most(16, "entries of `metadata`")
    metadata_key_characters: int = _most(64, "characters of a key in `metadata`")
    metadata_value_characters: int = _most(512, "characters of a value in `metadata`")

    answer_logprobs: int = _most(
        100_000, "log-probabilities in an answer that isn't streamed, all choices together", "too_many_logprobs"
    )
    """4000 tokens with 20 others each, and room. Writing as many takes about 0.3 s."""
    timeout_s: float = _most(86_400.0, "seconds of `x-request-timeout-seconds`")
    request_id_characters: int = _most(128, "characters of `x-request-id` that are kept", None)

    form_parts: int = _most(8, "parts of a form that uploads a file", "bad_form")
    form_field_bytes: int = _most(1024, "bytes of a part of a form that is no file", "bad_form")
    file_name_characters: int = _most(255, "characters of a file's name that are kept", None)
    listed_files: int = _most(10_000, "files of one page of a list")
    object_id_characters: int = _most(128, "characters of the id of a file")
    batch_lines: int = _most(50_000, "lines of the input of a batch", "too_many_lines")
    custom_id_characters: int = _most(512, "characters of the `custom_id` of a line of a batch")
    running_batches: int = _most(64, "batches of one tenant that are not over", "overloaded")
    listed_batches: int = _most(100, "batches of one page of a list")
    uploads_at_once: int = _most(16, "uploads of files of one tenant at a time", "overloaded")

    load_path_characters: int = _most(4096, "characters of `lora_path`")
    unload_name_characters: int = _most(128, "characters of `lora_name`, a version included")
    sharing_tenants: int = _most(64, "tenants that an adapter is shared with")
    tenant_characters: int = _most(64, "characters of a tenant's name")
    key_name_characters: int = _most(32, "characters of the name of a key that its tenant makes")
    key_roles: int = _most(8, "roles of a key")
    key_overlap_s: int = _most(30 * 86_400, "seconds for which a rotated key works on")


MOST = RequestLimits()
"""The limits that hold."""


def rows() -> tuple[Field[Any], ...]:
    """The table's rows, in order: name, default (the limit) and metadata (`what`, `code`) of each."""
    return fields(RequestLimits)


@dataclass(frozen=True)
class Range:
    """The values of a number. Both ends are allowed, unless ``above_low``."""

    low: float
    high: float
    above_low: bool = False
    """Whether ``low`` itself is refused."""

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are allowed."""
        return isinstance(self.low, int)

    def allows(self, value: float) -> bool:
        """Whether a number lies inside; NaN never does."""
        return self.low <= value <= self.high and not (self.above_low and value == self.low)

    def __str__(self) -> str:
        return f"above {self.low} and at most {self.high}" if self.above_low else f"from {self.low} to {self.high}"


SAMPLING_RANGES = {
    # OpenAI's and vLLM's ranges; where they differ, the narrower one. A value inside may still be too small for
    # float32, in which logits are computed (5e-324 is 0 there): `engine/rows/sampler.py` handles these.
    "temperature": Range(0.0, 2.0),
    "top_p": Range(0.0, 1.0, above_low=True),
    "top_k": Range(0, LARGEST_WHOLE),
    "min_p": Range(0.0, 1.0),
    "presence_penalty": Range(-2.0, 2.0),
    "frequency_penalty": Range(-2.0, 2.0),
    # Logits are divided and multiplied by it: values nearer to 0 would overflow them.
    "repetition_penalty": Range(0.01, 10.0),
    "logit_bias": Range(-100.0, 100.0),
    "n": Range(1, 64),
    "max_tokens": Range(0, LARGEST_WHOLE),
    "min_tokens": Range(0, LARGEST_WHOLE),
    "logprobs": Range(0, 20),
    "prompt_logprobs": Range(0, 20),
    "seed": Range(-(2**63), 2**63 - 1),
    "priority": Range(-100, 100),
}
"""Range by parameter of `SamplingParams` and `GenerationRequest`."""
