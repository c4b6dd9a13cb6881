"""What routing costs a request: `auto` against the named adapter it chooses, on a running server, over HTTP.

    python -m benchmarks.auto --url http://127.0.0.1:8000

Requests come in pairs, one token each: the same prompt to `auto` and to the adapter that `/v1/route` names, in turns
first. New prompts are ones that no server has seen, known ones are the same again. Beside the differences stands what
`/v1/route` alone takes. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import time
from typing import Any

import httpx

from adaptrix_core.routing import prompts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key", help="API key, where the server asks for one")
    parser.add_argument("--pairs", type=int, default=60)
    given = parser.parse_args()
    headers = {"authorization": f"Bearer {given.key}"} if given.key else {}
    with httpx.Client(base_url=given.url, headers=headers, timeout=120) as http:
        named, asked = chosen(http, given.pairs)
        result = {kind: measured(http, asked, named, kind) for kind in ("new", "known")}
    for kind, row in result.items():
        print(
            f"{kind + ' prompts':14} auto {row['auto']:6.1f} ms  named {row['named']:6.1f} ms  "
            f"auto adds {row['added']:5.1f} ms  (/v1/route alone {row['route']:5.1f} ms)"
        )
    print(json.dumps({"benchmark": "auto", "pairs": given.pairs, "median_ms": result}))


def chosen(http: httpx.Client, pairs: int) -> tuple[list[str], list[str]]:
    """Who answers each prompt, and the prompts: those that some adapter answers."""
    named, asked = [], []
    for problem in prompts.paraphrases():
        adapter = route(http, problem.prompt)["adapter"]
        if adapter != "base":
            named.append(adapter)
            asked.append(problem.prompt)
    wanted = -(-pairs // len(asked))
    return (named * wanted)[:pairs], (asked * wanted)[:pairs]


def measured(http: httpx.Client, asked: list[str], named: list[str], kind: str) -> dict[str, float]:
    """Median milliseconds of `auto`, of the named adapter, of their difference in a pair, and of `/v1/route`."""
    times: dict[str, list[float]] = {"auto": [], "named": [], "route": []}
    for number, (prompt, adapter) in enumerate(zip(asked, named, strict=True)):
        models = {"auto": "auto", "named": adapter}
        # The first request of a pair computes the prompt, so each kind is first in turns; both texts are as long.
        for name in sorted(models, reverse=bool(number % 2)):
            text = fresh(prompt) if kind == "new" else prompt
            times[name].append(timed(lambda text=text, model=models[name]: ask(http, model, text)))
        text = fresh(prompt) if kind == "new" else prompt
        times["route"].append(timed(lambda text=text: route(http, text)))
    added = [auto - plain for auto, plain in zip(times["auto"], times["named"], strict=True)]
    medians = {name: statistics.median(values) for name, values in {**times, "added": added}.items()}
    return {name: round(value, 2) for name, value in medians.items()}


def fresh(prompt: str) -> str:
    """The prompt as nobody has sent it before, three or four tokens longer."""
    return f"{prompt} ({secrets.token_hex(2)})"


def timed(act: Any) -> float:
    """Milliseconds that ``act`` takes."""
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


def ask(http: httpx.Client, model: str, text: str) -> None:
    """One token of an answer."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 1, "temperature": 0}
    http.post("/v1/chat/completions", json=body).raise_for_status()


def route(http: httpx.Client, text: str) -> Any:
    """The routing decision alone."""
    answer = http.post("/v1/route", json={"messages": [{"role": "user", "content": text}]})
    return answer.raise_for_status().json()


if __name__ == "__main__":
    main()
