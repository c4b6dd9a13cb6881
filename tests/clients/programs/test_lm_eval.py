"""lm-evaluation-harness: it scores answers here as transformers does, and generates.

Its tasks and their five questions are files of ours (`lm_eval_tasks/`). The server computes in float32, which is exact.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from adaptrix_core.base.source import resolve
from tests.clients.client import installed
from tests.clients.served import MODEL, Served, served

pytest.importorskip("lm_eval", reason="lm-eval is in the extra clients")

CLIENT = installed("lm-eval", note="`local-completions`: log-likelihoods, rolling ones, and `generate_until`")

TASKS = Path(__file__).parent / "lm_eval_tasks"
NAMES = ("adaptrix_choices", "adaptrix_rolling", "adaptrix_generated")
TOLERANCE = 1e-3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that computes in float32."""
    with served(tmp_path_factory.mktemp("exact"), base={"precision": "fp32"}) as made:
        yield made


@pytest.fixture(scope="module")
def model_dir() -> Path:
    """The base model's files, with its tokenizer, as transformers reads them."""
    return resolve(MODEL, torch.float32).directory


@pytest.fixture(scope="module")
def samples(exact: Served, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What the harness logged of every question, by task."""
    out = tmp_path_factory.mktemp("lm_eval")
    arguments = f"model={exact.model},base_url={exact.base_url}/completions,tokenizer={model_dir},num_concurrent=2"
    command = [sys.executable, "-m", "lm_eval", "--model", "local-completions", "--model_args", arguments]
    command += ["--tasks", ",".join(NAMES), "--include_path", ".", "--output_path", str(out), "--log_samples"]
    env = {**os.environ, "OPENAI_API_KEY": exact.key, "HF_HOME": str(out / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=TASKS, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    files = {name: next(out.rglob(f"samples_{name}_*.jsonl")) for name in NAMES}
    return {name: [json.loads(line) for line in file.read_text().splitlines()] for name, file in files.items()}


class Reference:
    """transformers' own log-likelihoods."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self._model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()

    @torch.inference_mode()
    def score(self, tokens: list[int], given: int) -> tuple[float, bool]:
        """Log-likelihood of all tokens behind the first ``given``, and whether each is the likeliest."""
        logprobs = self._model(torch.tensor([tokens])).logits[0, given - 1 : -1].float().log_softmax(-1)
        wanted = torch.tensor(tokens[given:])
        chosen = logprobs.gather(1, wanted[:, None]).sum()
        return float(chosen), bool((logprobs.argmax(-1) == wanted).all())


@pytest.fixture(scope="module")
def reference(model_dir: Path) -> Reference:
    return Reference(model_dir)


def test_choices_are_as_likely_as_in_transformers(samples: dict[str, list[Any]], reference: Reference) -> None:
    encode = reference.tokenizer.encode
    scored = 0
    for sample in samples["adaptrix_choices"]:
        for asked, told in zip(sample["arguments"].values(), sample["resps"], strict=True):
            before, answer = asked["arg_0"], asked["arg_1"]
            wanted, is_greedy = reference.score(encode(before + answer), len(encode(before)))
            assert float(told[0][0]) == pytest.approx(wanted, abs=TOLERANCE)
            assert (told[0][1] == "True") is is_greedy
            scored += 1
    assert scored == 14


def test_whole_texts_are_as_likely_as_in_transformers(samples: dict[str, list[Any]], reference: Reference) -> None:
    tokenizer = reference.tokenizer
    assert len(samples["adaptrix_rolling"]) == 5
    for sample in samples["adaptrix_rolling"]:
        tokens = [tokenizer.bos_token_id, *tokenizer.encode(sample["arguments"]["gen_args_0"]["arg_0"])]
        assert float(sample["resps"][0][0]) == pytest.approx(reference.score(tokens, 1)[0], abs=TOLERANCE)


def test_generated_texts_end_where_they_should(samples: dict[str, list[Any]]) -> None:
    texts = [sample["resps"][0][0] for sample in samples["adaptrix_generated"]]
    assert len(texts) == 5
    assert not [text for text in texts if "\n" in text or "." in text]
