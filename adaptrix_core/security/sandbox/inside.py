"""The program inside a sandbox: reads one call, limits itself, runs the code, and writes one line of reply.

Started by its path, in an interpreter that finds nothing but the standard library. Removing the built-ins that reach
outside is help for honest mistakes, which then have a name; whoever gets around it meets the walls of the sandbox.
"""

from __future__ import annotations

import builtins
import json
import os
import resource
import sys

READY = b"ready\n"
MODULES = {"math", "re", "string", "itertools", "functools", "collections", "typing", "random", "copy", "hashlib"}
WITHHELD = {"open", "exec", "eval", "compile", "input", "breakpoint", "exit", "quit", "help"}


def main() -> None:
    """Serve the one call."""
    reply_to = os.dup(1)
    os.dup2(2, 1)  # what the code prints goes nowhere
    call = json.loads(sys.stdin.buffer.readline())
    for name, limits in call["limits"].items():
        resource.setrlimit(getattr(resource, name), tuple(limits))
    os.write(reply_to, READY)
    line = answered(call).encode() + b"\n"
    while line:
        line = line[os.write(reply_to, line) :]


def answered(call: dict[str, list[list[object]]]) -> str:
    """The reply to a call, as JSON: values, or the name of what was raised."""
    space: dict[str, object] = {"__builtins__": permitted_builtins(), "__name__": "answer"}
    try:
        exec(compile(str(call["source"]), "answer", "exec"), space)
        function = space[str(call["function"])]
        return json.dumps({"values": [function(*arguments) for arguments in call["arguments"]]})  # type: ignore[operator]
    except BaseException as error:
        return json.dumps({"fault": type(error).__name__})


def permitted_builtins() -> dict[str, object]:
    """Built-in functions for the code, with an import that knows few modules."""
    real_import = builtins.__import__

    def permitted_import(name: str, *further: object) -> object:
        if name in MODULES:
            return real_import(name, *further)  # type: ignore[arg-type]
        raise ImportError("not available: " + name)

    return {
        **{name: value for name, value in vars(builtins).items() if name not in WITHHELD},
        "__import__": permitted_import,
    }


if __name__ == "__main__":
    main()
