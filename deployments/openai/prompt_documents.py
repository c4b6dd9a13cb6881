"""What answers tell of the prompt: its text and log-probabilities before those of the answer (``echo``), or apart."""

from __future__ import annotations

from typing import Any

from deployments.openai.logprob_documents import Offsets, by_text, numbered
from deployments.shared.wire import Likely, PromptSeen


def echoed_logprobs(seen: PromptSeen, offsets: Offsets, numbers_tokens: bool) -> dict[str, Any] | None:
    """The ``logprobs`` member of a text choice for the prompt; None where the tokens were not scored.

    The first token has none, as nothing precedes it. numbers_tokens: whether tokens are written by their number.
    """
    if seen.scored is None:
        return None
    tokens = [seen.first, *(token.chosen for token in seen.scored)]
    written = numbered if numbers_tokens else _as_it_is
    likeliest = [by_text(written(token.chosen), map(written, token.top)) for token in seen.scored]
    return {
        "tokens": [written(token).token for token in tokens],
        "token_logprobs": [None, *(token.chosen.logprob for token in seen.scored)],
        "top_logprobs": [None, *likeliest],
        "text_offset": [offsets.next(token.data) for token in tokens],
    }


def _as_it_is(likely: Likely) -> Likely:
    return likely


def prompt_logprobs(seen: PromptSeen) -> list[dict[str, Any] | None]:
    """vLLM's ``prompt_logprobs``: for each token, by token id, the chosen one and the likeliest; null for the first."""
    told: list[dict[str, Any] | None] = [None]
    for token in seen.scored or ():
        ranked = {likely.token_id: (rank, likely) for rank, likely in enumerate(token.top, 1)}
        ranked[token.chosen.token_id] = (token.rank, token.chosen)
        told.append(
            {
                str(token_id): {"logprob": likely.logprob, "rank": rank, "decoded_token": likely.token}
                for token_id, (rank, likely) in ranked.items()
            }
        )
    return told
