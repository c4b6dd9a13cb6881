"""What answers tell of the prompt: its text and log-probabilities before those of the answer (``echo``), or apart."""

from __future__ import annotations

from typing import Any

from deployments.openai.logprob_documents import Offsets, by_text
from deployments.shared.wire import PromptSeen


def echoed_logprobs(seen: PromptSeen, offsets: Offsets) -> dict[str, Any] | None:
    """The ``logprobs`` member of a text choice for the prompt; None where the tokens were not scored.

    The first token has none, as nothing precedes it.
    """
    if seen.scored is None:
        return None
    tokens = [seen.first, *(token.chosen for token in seen.scored)]
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [None, *(token.chosen.logprob for token in seen.scored)],
        "top_logprobs": [None, *(by_text(token.chosen, token.top) for token in seen.scored)],
        "text_offset": [offsets.next(token.data) for token in tokens],
    }


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
