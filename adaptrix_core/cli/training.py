"""`train`: an adapter from examples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from adaptrix_core.cli.layers import LayerList
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session


@click.command()
@click.argument("name")
@click.option(
    "--data",
    required=True,
    help="A task family, a JSONL file, or gsm8k, code-alpaca, reclor (also as NAME:PATH of a local copy).",
)
@click.option("--base", "base_model", default="smollm2-135m", show_default=True, help="Base model to train on.")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Working directory [default: runs/NAME]."
)
@click.option("--layers", type=LayerList(fractions=True), help="Indices or fractions of the depth, such as 10,14,18.")
@click.option("--modules", help="Comma-separated canonical names [default: all seven].")
@click.option("--rank", type=int, help="Rank of every point.")
@click.option("--alpha", type=float, help="LoRA alpha; the scaling is alpha / rank.")
@click.option("--examples", type=int, help="Examples at most.")
@click.option("--epochs", type=float)
@click.option("--batch-size", type=int)
@click.option("--learning-rate", type=float)
@click.option("--seed", type=int)
@click.option(
    "--init-from",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Working directory of an earlier run to start from (same layers, modules and rank).",
)
@click.option("--checkpoint-every", type=int, help="Steps between checkpoints; a killed run resumes from the last one.")
@click.option("--threads", type=int, help="CPU threads [default: torch's choice].")
@click.option("--gradient-checkpointing", is_flag=True, default=None, help="Less memory, more time.")
@click.option("--reuse-trunk/--no-reuse-trunk", default=None, help="Compute the frozen layers once per example.")
@click.option(
    "--publish",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the adapter directory that is served to PUBLISH/NAME, with the run's settings in its metadata.",
)
@click.option("--version", help="With --publish [default: 1.0.0].")
@click.option("--description", help="With --publish: what it is for; the router reads this [task family: its own].")
@click.option(
    "--route-example",
    "examples_of_use",
    multiple=True,
    help="With --publish: a prompt it is for; repeatable [task family: its own].",
)
@click.option("--sign", is_flag=True, help="With --publish: sign it with your key (--key names another).")
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Private key for --sign.")
@output_options
@click.pass_obj
def train(
    session: Session,
    name: str,
    output: Path | None,
    base_model: str,
    modules: str | None,
    publish: Path | None,
    version: str | None,
    description: str | None,
    examples_of_use: tuple[str, ...],
    sign: bool,
    key: Path | None,
    **options: Any,
) -> None:
    """Train adapter NAME on chosen layers of a frozen base model; a killed run resumes.

    The working directory gets a PEFT adapter, the history and the loss curve as a picture.
    """
    if publish is None and (version or description or examples_of_use or sign):
        raise click.UsageError("--version, --description, --route-example and --sign belong to --publish")
    if key is not None and not sign:
        raise click.UsageError("--key belongs to --sign")
    from adaptrix_core.adapters import default_private_key
    from adaptrix_core.base import BaseModelManager
    from adaptrix_core.training.config import TrainConfig
    from adaptrix_core.training.publish import publish as write_adapter
    from adaptrix_core.training.run import train as run_training

    given = {key: value for key, value in options.items() if value is not None}
    if modules is not None:
        given["modules"] = tuple(module.strip() for module in modules.split(","))
    config = TrainConfig(name=name, output_dir=output or Path("runs") / name, base_model=base_model, **given)
    with session.output.waiting(f"loading {base_model}"):
        base = BaseModelManager(base_model, precision="fp32").load_model()
    result = run_training(config, base, session.output.progress_console())
    if publish is not None:
        write_adapter(
            result.directory,
            publish / name,
            base,
            config,
            **_card(config.data, description, examples_of_use),
            version=version or "1.0.0",
            private_key=(key or default_private_key()) if sign else None,
        )
    summary = {key: value for key, value in asdict(result).items() if key != "steps"}
    summary |= {"directory": str(result.directory), "num_steps": len(result.steps), "final_loss": result.final_loss}
    summary["published"] = None if publish is None else str(publish / name)

    def show(out: Console) -> None:
        out.print(f"{name}: {len(result.steps)} steps, final loss {result.final_loss:.4f}", markup=False)
        out.print(
            f"layers {', '.join(map(str, result.layers))}, {result.trainable_parameters} parameters", markup=False
        )
        reused = result.trunk_layer_tokens_reused
        out.print(f"trunk: {reused} layer-tokens reused, about {result.trunk_seconds_saved:.0f} s saved", markup=False)
        out.print(f"PEFT directory and loss curve: {result.directory}", markup=False)
        if publish is not None:
            out.print(f"adapter directory: {publish / name}", markup=False)

    session.output.result(summary, show)


def _card(data: str, description: str | None, examples_of_use: tuple[str, ...]) -> dict[str, Any]:
    """Description and routing examples as given, else those written for the task family."""
    from adaptrix_core.routing.prompts import suggested_cards

    written = suggested_cards().get(data, {})
    return {
        "description": description or written.get("description", ""),
        "routing_examples": examples_of_use or tuple(written.get("routing_examples", ())),
    }
