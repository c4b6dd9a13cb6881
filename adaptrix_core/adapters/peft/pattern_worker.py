"""Matches regular expressions against names, in a process of its own that ends itself when it costs too much.

Started by `patterns.py`. Reads one JSON object from standard input: ``patterns`` (a list of [expression, whole]),
``names``, ``seconds`` of processor time and ``bytes`` of memory that it may use. Writes a line for each expression as
soon as it is done with it: ``{"matched": [[number of the name, text of the group idx or null], …]}``, or ``{"error":
text}``. The number of lines is the number of expressions that were matched. Imports the standard library only, to start
in some milliseconds.
"""

import json
import re
import resource
import sys


def main() -> None:
    """Read, match, answer line by line."""
    work = json.load(sys.stdin)
    _limit(resource.RLIMIT_CPU, work["seconds"])
    _limit(resource.RLIMIT_AS, work["bytes"])
    for expression, whole in work["patterns"]:
        json.dump(_matches(expression, whole, work["names"]), sys.stdout)
        sys.stdout.write("\n")
        sys.stdout.flush()


def _matches(expression: str, whole: bool, names: list[str]) -> dict[str, object]:
    try:
        pattern = re.compile(expression)
    except (re.error, RecursionError, OverflowError, ValueError) as error:
        return {"error": str(error)[:200]}
    found = ((index, pattern.fullmatch(name) if whole else pattern.match(name)) for index, name in enumerate(names))
    return {"matched": [(index, match.groupdict().get("idx")) for index, match in found if match is not None]}


def _limit(kind: int, amount: int) -> None:
    """Lower a limit of this process; a lower limit of the system stays."""
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or amount <= hard:
        resource.setrlimit(kind, (amount, amount))


if __name__ == "__main__":
    main()
