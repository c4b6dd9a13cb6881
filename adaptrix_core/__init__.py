"""Adaptrix: one frozen language model, many signed LoRA adapters, one per request.

Knows nothing of HTTP, Ray or the command line. Importing this package is cheap: the names below load torch on first
use.

Files:

cache_dir        Where things that can be made again are kept: converted models and compiled kernels
config           Settings: what may be configured, and what is wrong with a configuration
digests          Which digest is which
error_codes      Every error code, once: what it means, and the HTTP status and OpenAI error type it is sent with
errors           One error tree for the whole project
git_lfs          Recognises what git leaves in place of a large file that was not fetched
lazy             Names that a package exports and loads on first use, so that importing the package costs nothing
places           Where an installation keeps its own things, whatever directory a program is started from
sampling         What tokens are sampled by where a request leaves it open: the adapter's wish, then the model's, then
                 ours
sampling_limits  The range of every sampling parameter, once: the engine checks requests against it, HTTP bodies are
                 validated by it
sections         The sections of the settings: every key, its default, its limits and what the user is told of it
serve_file       The file that describes a deployment, in Ray Serve's own schema: read strictly, without Ray
suggestions      What somebody meant who wrote a name that is not there
writable         Directories that will be written to: whether they can be, and whether there is room, before hours are
                 spent
adapters/        Adapters at rest and in memory: the directory format, trust in it, and who holds what in memory
base/            The frozen base model: where it comes from, what family it is, and how a span of its layers runs
cli/             The `adaptrix` command: an edge that nobody imports
engine/          Tokens in, tokens out: continuous batching of rows under different mixes
injection/       Adapters meet the model: mixes, the LoRA sum, and the hooks that apply it
native/          Native kernels for packed weights on the CPU (`src/`), and how Python reaches them
observe/         What the system says about itself: metric labels, JSON logs, traces
routing/         Messages in, decision out: which adapter, if any, should answer
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
