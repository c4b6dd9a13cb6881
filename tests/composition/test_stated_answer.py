"""What a reply hands on to the next question: its answer line, its code, or its last line."""

from __future__ import annotations

import pytest

from adaptrix_core.composition.stated_answer import answer_of


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("3 * 4 = 12\nAnswer: 12", "12"),
        ("2*x = 8\nAnswer: x = 4", "4"),
        ("Answer: x = y", "x = y"),
        ("Answer: **Yes**.", "Yes"),
        ("Here it is:\n```python\ndef f(n):\n    return n\n```", "def f(n):\n    return n"),
        ("First this.\n\nThen Paris. \n", "Then Paris."),
        ("", ""),
    ],
)
def test_an_answer_is_the_answer_line_the_code_or_the_last_line(reply: str, answer: str) -> None:
    assert answer_of(reply) == answer
