"""What a prompt takes to encode, as far as it can be told beforehand."""

from __future__ import annotations

from deployments.worker import TEMPLATE_CHARACTERS, num_characters


def test_the_text_of_a_prompt_is_what_takes_time_and_each_message_takes_some() -> None:
    assert num_characters("four") == 4
    assert num_characters(tuple(range(5000))) == 0
    messages = tuple({"role": "user", "content": text} for text in ("four", ""))
    assert num_characters(messages) == 4 + 2 * TEMPLATE_CHARACTERS
