"""Runs a training from its `TrainConfig`: checks, reads the data, loads the base, trains, reports.

Shows progress. Does not write the adapter directory that is served; `publish.py` does that from the result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.errors import ConfigError
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.data import TrainingData, read_training_data
from adaptrix_core.training.examples.encoding import encode_examples
from adaptrix_core.training.provenance import described_data
from adaptrix_core.training.result import TrainingStep, TrainResult
from adaptrix_core.training.run_report import write_report
from adaptrix_core.training.trainer import train_examples
from adaptrix_core.writable import why_not_writable

HELD_OUT = "held_out.jsonl"
_NEEDED = ("peft", "accelerate", "matplotlib")


def read_data(config: TrainConfig, console: Console | None = None) -> TrainingData:
    """The data, after all checks that are possible before a base model is loaded.

    Raises ConfigError (a directory that cannot be written), DataError (lines at fault), ModuleNotFoundError.
    """
    for package in _NEEDED:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"no package {package!r}", name=package)
    fault = why_not_writable(config.output_dir)
    if fault is not None:
        raise ConfigError([f"output_dir = {config.output_dir}: {fault}"])
    with (console or Console(stderr=True)).status(f"reading {config.data}"):
        return read_training_data(config)


def train(
    config: TrainConfig,
    base: BaseModel | None = None,
    console: Console | None = None,
    *,
    data: TrainingData | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train as ``config`` says; ``base`` and ``data`` (of `read_data`) save reading them again.

    Progress goes to ``console`` (standard error). The directory also gets a report, the loss curve and the held-out
    examples (``held_out.jsonl``), which `adaptrix evaluate NAME --data` reads. ``should_stop``: as of `train_examples`.
    """
    console = console or Console(stderr=True)
    data = read_data(config, console) if data is None else data
    if base is None:
        with console.status(f"loading {config.base_model}"):
            base = BaseModelManager(config.base_model, precision="fp32").load_model()
    with console.status("encoding the examples"):
        kept, apart = data.sides(base, config)
        encoded = encode_examples(base, [*kept, *apart], config.max_tokens_per_example)
        examples = [example for example in encoded if example.index < len(kept)]
        held_out = [example for example in encoded if example.index >= len(kept)]
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(config.name, total=None)

        def show(step: TrainingStep, total: int) -> None:
            progress.update(
                bar, total=total, completed=step.number + 1, description=f"{config.name} loss {step.loss:.3f}"
            )
            if not console.is_terminal:
                console.print(
                    f"step {step.number + 1}/{total} loss {step.loss:.4f} {step.seconds:.1f} s", highlight=False
                )

        result = train_examples(base, examples, config, show, held_out=held_out, should_stop=should_stop)
    if apart:
        _write_rows(config.output_dir / HELD_OUT, apart)
    write_report(result, config, base.info.lineage, described_data(config.data)["name"])
    return result


def _write_rows(path: Path, conversations: Sequence[LearntConversation]) -> None:
    rows = [json.dumps(conversation.as_row(), ensure_ascii=False) for conversation in conversations]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
