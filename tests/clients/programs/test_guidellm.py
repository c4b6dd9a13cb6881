"""guidellm measures this server: chat and raw completions, streamed, at a fixed number of requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from adaptrix_core.base.source import resolve
from tests.clients.programs.apart import WHY_NOT, run, there
from tests.clients.served import MODEL, Served

pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

CLIENT = there("guidellm", "`guidellm run`, chat and text completions, streamed")

REQUESTS, TOKENS = 3, 8


@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/completions"])
def test_stream(server: Served, tmp_path: Path, endpoint: str) -> None:
    tokenizer = resolve(MODEL, torch.float32).directory
    run(
        *("guidellm", "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={server.url},api_key={server.key},request_format={endpoint}"),
        *("--profile", "kind=synchronous", "--constraint", f"kind=max_requests,count={REQUESTS}"),
        *("--tokenizer", f"kind=hf_auto,model={tokenizer}"),
        *("--data", f"kind=synthetic_text,prompt_tokens=32,output_tokens={TOKENS}"),
        *("--output", f"kind=json,path={tmp_path / 'report.json'}"),
        cwd=tmp_path,
    )
    (benchmark,) = json.loads((tmp_path / "report.json").read_text())["benchmarks"]
    totals = benchmark["metrics"]["request_totals"]
    # It leaves out requests at the edges of its window, so fewer may be told than were sent.
    assert 0 < totals["successful"] <= REQUESTS
    assert totals["errored"] == totals["incomplete"] == 0
    for request in benchmark["requests"]["successful"]:
        assert request["output_tokens"] == TOKENS
        assert request["time_to_first_token_ms"] > 0
