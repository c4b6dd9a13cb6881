"""The examples that need no server run as they stand (those that do are run in `cli/test_live_server.py`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("embed.py", ["math_reasoning: '14 + 5 = 19\\n19 - 6 = 13\\nAnswer: 13'"]),
        ("switch.py", ["base | math_reasoning: 12 +|"]),
        ("confidence.py", ["not sure enough ("]),
        ("import_peft.py", ["base: 'The capital of France is Paris.'"]),
        ("train.py", ["pirate: 'Arr!"]),
        ("composition/sequence.py", ["step 1: '12 + 5 = 17\\nAnswer: 17'"]),
        ("composition/named_sequence.py", ["signed: two_steps two_steps@1.0.0", "step 1: '12 + 5 = 17\\nAnswer: 17'"]),
        ("composition/nested.py", ["of 3 that answered", "step 1: '12 + 5 = 17\\nAnswer: 17', of 1 that answered"]),
        ("composition/vote.py", ["winner: Answer: 13"]),
        ("composition/ensemble.py", ["logits: '14 + 5 = 19\\n19 - 6 = 13\\nAnswer: 13'"]),
        (
            "composition/layers.py",
            ["with logic above: '14 + 5 = 19\\n19 - 6 = 13\\nAnswer: 13'", "by a gate: '14 + 5 = 19"],
        ),
        (
            "composition/condition.py",
            ["Answer: 37", "What is 12 + 30 - 5? math_reasoning: '12 + 30 = 42"],
        ),
        ("composition/conflicts.py", ["over the limit of 0.5", "within the limit of 0.5"]),
    ],
)
def test_the_example_runs_as_it_stands(script: str, expected: list[str]) -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [words for words in expected if words not in done.stdout] == []
