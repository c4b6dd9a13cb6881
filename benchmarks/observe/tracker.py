"""How fast the tracker writes, and how long its answers take once its file holds many requests, in milliseconds.

python -m benchmarks.observe.tracker --rows 10000000

The file is made in a temporary directory and deleted; ten million requests of 90 days need about 5 GB of it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from adaptrix_core.observe.tracker.book import TrackedBatch, UsageBook
from adaptrix_core.observe.tracker.questions import UsageQuestion, ask
from adaptrix_core.observe.tracker.sums import DAY, HOUR
from adaptrix_core.observe.tracker.tracked import TrackedRequest
from benchmarks.harness.report import table

BEGIN, DAYS = 1_788_220_800, 90
"""1 September 2026, and the days over which requests are spread evenly."""
TENANTS, KEYS, ADAPTERS = 50, 2, 200
"""Adapters and tenants are drawn by Zipf's law with exponent 1; each tenant has as many keys."""
FILLED_AT_ONCE = 20_000
SENT_AT_ONCE = 500
"""As ingresses send."""


def requests(rows: int, seed: int) -> Iterator[TrackedRequest]:
    """Requests in the order of their end."""
    drawn = random.Random(seed)
    tenants = [f"tenant-{number}" for number in range(TENANTS)]
    adapters = [f"adapter-{number}" for number in range(ADAPTERS)]
    by_rank = [[1 / rank for rank in range(1, number + 1)] for number in (TENANTS, ADAPTERS)]
    for begin in range(0, rows, FILLED_AT_ONCE):
        count = min(FILLED_AT_ONCE, rows - begin)
        who = zip(
            drawn.choices(tenants, by_rank[0], k=count), drawn.choices(adapters, by_rank[1], k=count), strict=True
        )
        for number, (tenant, adapter) in enumerate(who, begin):
            first_s = drawn.lognormvariate(-2, 0.7)
            tokens = int(drawn.expovariate(0.02))
            yield TrackedRequest(
                at=BEGIN + number * DAYS * DAY / rows,
                response_id=f"chatcmpl-{drawn.getrandbits(128):032x}",
                tenant=tenant,
                key_id=f"{tenant}-{number % KEYS}",
                adapter=adapter,
                model="auto",
                endpoint="/v1/chat/completions",
                outcome="answered" if number % 50 else "failed",
                error="" if number % 50 else "replica_lost",
                prompt_tokens=int(drawn.expovariate(0.005)),
                cached_tokens=16,
                completion_tokens=tokens,
                queue_s=first_s / 3,
                load_s=None if number % 10 else first_s / 5,
                first_token_s=first_s,
                per_token_s=0.02 + first_s / 50,
                total_s=first_s + tokens * 0.02,
                replica="replica-1",
            )


QUESTIONS = {
    "all, by adapter": UsageQuestion(0.0, by=("adapter",)),
    "all, by tenant": UsageQuestion(0.0, by=("tenant",)),
    "all, by day": UsageQuestion(0.0, per="day"),
    "one tenant, by adapter": UsageQuestion(0.0, by=("adapter",), only={"tenant": "tenant-0"}),
    "one tenant, 30 days, by day and adapter": UsageQuestion(
        BEGIN + (DAYS - 30) * DAY, by=("adapter",), per="day", only={"tenant": "tenant-0"}
    ),
    "one key, 7 days, by hour": UsageQuestion(
        BEGIN + (DAYS - 7) * DAY, by=("key_id",), per="hour", only={"tenant": "tenant-0", "key_id": "tenant-0-1"}
    ),
    "one adapter, by day": UsageQuestion(0.0, per="day", only={"adapter": "adapter-0"}),
    "24 hours, begun and ended in mid-hour, by adapter": UsageQuestion(
        BEGIN + (DAYS - 2) * DAY + HOUR / 2, BEGIN + (DAYS - 1) * DAY + HOUR / 2, by=("adapter",)
    ),
}


def filled(path: Path, rows: int) -> float:
    """Seconds that it took to make a file of so many requests."""
    book, began = UsageBook(path), time.perf_counter()
    source, number = requests(rows, seed=1), 0
    while batch := tuple(islice(source, FILLED_AT_ONCE)):
        number += 1
        book.add(TrackedBatch("benchmark", number, batch))
    book.close()
    return time.perf_counter() - began


def written(path: Path, batches: int) -> list[float]:
    """Milliseconds of each batch that is added to a full file."""
    book, source = UsageBook(path), iter(list(requests(batches * SENT_AT_ONCE, seed=2)))
    taken = []
    for number in range(1, batches + 1):
        batch = tuple(one._replace(at=BEGIN + DAYS * DAY + number) for one in islice(source, SENT_AT_ONCE))
        began = time.perf_counter()
        book.add(TrackedBatch("another", number, batch))
        taken.append(1000 * (time.perf_counter() - began))
    book.close()
    return taken


def asked(path: Path, repeats: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds of each question, in turns: by the clock, and of the processor."""
    taken: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    computed: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    for _ in range(repeats):
        for name, question in QUESTIONS.items():
            began, busy = time.perf_counter(), time.process_time()
            ask(path, question)
            taken[name].append(1000 * (time.perf_counter() - began))
            computed[name].append(1000 * (time.process_time() - busy))
    return taken, computed


def main() -> None:
    """Fill, ask, write; print, and end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="requests in the file (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="times that each question is asked")
    parser.add_argument("--batches", type=int, default=20, help=f"batches of {SENT_AT_ONCE} that are added then")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "usage.db"
        seconds = filled(path, given.rows)
        size = path.stat().st_size
        (answers, computed), writes = asked(path, given.repeats), written(path, given.batches)
    figures = {
        name: {"median": statistics.median(ms), "longest": max(ms), "processor": statistics.median(computed[name])}
        for name, ms in answers.items()
    }
    rows = [(name, *(f"{value:.1f}" for value in figure.values())) for name, figure in figures.items()]
    rows.append((f"a batch of {SENT_AT_ONCE} written", f"{statistics.median(writes):.1f}", f"{max(writes):.1f}", "–"))
    columns = ("", "median ms", "longest ms", "processor ms")
    table(f"{given.rows} requests, {size / 1e6:.0f} MB", columns, rows)
    print(
        json.dumps(
            {
                "benchmark": "tracker",
                "rows": given.rows,
                "bytes": size,
                "fill_s": seconds,
                "ms": figures,
                "batch_ms": {"median": statistics.median(writes), "longest": max(writes)},
            }
        )
    )


if __name__ == "__main__":
    main()
