"""What a call in a sandbox costs: a function of one line, in each kind of sandbox in turns, in milliseconds.

python -m benchmarks.sandbox --calls 100
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from adaptrix_core.security.sandbox.call import Call
from adaptrix_core.security.sandbox.run import SandboxKind, check_sandbox, run_call

CALL = Call("def f(x):\n    return x + 1", "f", ((1,),))
KINDS: tuple[SandboxKind, ...] = ("process", "bubblewrap")


def main() -> None:
    """Measure, print; end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    given = parser.parse_args()
    for kind in KINDS:
        check_sandbox(kind)
        run_call(CALL, sandbox=kind)
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(given.calls):
        for kind in KINDS:
            started = time.perf_counter()
            outcome = run_call(CALL, sandbox=kind)
            taken[kind].append(1000 * (time.perf_counter() - started))
            assert outcome.values == (2,), outcome
    figures = {kind: {"median": statistics.median(ms), "least": min(ms)} for kind, ms in taken.items()}
    for name, figure in figures.items():
        print(f"{name}: median {figure['median']:.1f} ms, least {figure['least']:.1f} ms")
    print(json.dumps({"benchmark": "sandbox", "calls": given.calls, "ms": figures}))


if __name__ == "__main__":
    main()
