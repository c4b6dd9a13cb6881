"""Adaptrix: one frozen language model, many signed LoRA adapters, one per request.

Knows nothing of HTTP, Ray or the command line. Importing this package is cheap: the names below load torch on first
use.

Files:

cache_dir        The cache directory, for files that can be made again: converted models and compiled kernels
digests          The types of digests, one for each meaning
error_codes      Every error code, once: what it means, and the HTTP status and OpenAI error type it is sent with
errors           One error tree for the whole project
extension_point  An extension point: a kind of part that other installed packages can add, found by its name
extensions       Every extension point on one screen: what other packages can add, and what such a part must be able
                 to do
git_lfs          Recognises git-lfs pointers: the stand-ins for large files that were not fetched
lazy             Lazy exports of a package, loaded on first use, so that importing the package costs nothing
places           Directories of the installation and of the user, whatever directory a program is started from
replaced_file    Replaces a file in one step, whoever else replaces it at the same time: what is read is one of them,
                 whole
request_limits   The limits of one request, in one table that the engine, the HTTP schemas, the command line and the
                 docs read
sampling         Sampling defaults for values that a request leaves open: the adapter's, then the model's, then ours
suggestions      Suggestions for unknown names: the nearest known ones
writable         Checks before a long run that a directory can be written to and has room
adapters/        Adapters at rest and in memory: the directory format, trust in it, and residency
base/            The frozen base model: its sources, its family, and running a span of its layers
cli/             The `adaptrix` command: an edge that no other package imports
composition/     Composition: how several adapters work together on one answer
confidence/      Confidence: how sure an answer is
config/          Settings: their sections, how they are checked, and the file that describes a deployment
context/         Context: how far a mix moves what the base model computes, and what a prompt holds of a long
                 conversation
engine/          Tokens in, tokens out: continuous batching of rows under different mixes
injection/       Adapters meet the model: mixes, the LoRA sum, and the hooks that apply it
native/          Native kernels for packed weights on the CPU (`src/`), and how Python reaches them
observe/         Observability: metric labels, JSON logs, traces
routing/         Messages in, decision out: which adapter, if any, should answer
security/        Security: code that models write does no harm, and what is done to a server is recorded
tools/           Tools: functions of the caller's that a model may call, how it is told of them, and how its calls are
                 read
training/        Train adapters on the frozen base model, and measure how good they are
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adaptrix_core.engine import Completion, Engine, SamplingParams

__version__ = "0.1.0"
__all__ = ["Completion", "Engine", "SamplingParams", "__version__"]

_LAZY = {"Completion", "Engine", "SamplingParams"}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module("adaptrix_core.engine"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
