"""`inspect`: how far a mix moves what the base model computes on a prompt, by layer and token."""

from __future__ import annotations

import click

from adaptrix_core.cli.inspection.layer_ranges import LayerRanges
from adaptrix_core.cli.names import complete_models
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session


@click.command()
@click.argument("prompt")
@click.option("--mix", required=True, shell_complete=complete_models, help="An adapter, or a mix such as a*0.7+b*0.3.")
@click.option("--layers", type=LayerRanges(), help="Layers to show, such as 8-20 or 10,14,18 [default: all].")
@click.option("--raw", is_flag=True, help="Take PROMPT as it is, not as a user's message in the chat template.")
@click.option("--no-attention", is_flag=True, help="Leave out the attention, which takes about half of the time.")
@output_options
@click.pass_obj
def inspect(
    session: Session, prompt: str, mix: str, layers: tuple[int, ...] | None, raw: bool, no_attention: bool
) -> None:
    """Draw how far a mix moves the base model's hidden states and attention on PROMPT.

    Every cell is one layer and one token, the darker, the less its hidden state resembles the base model's. Always
    computed by an engine in this process, with the base model and thresholds of --config.
    """
    settings = session.settings
    with session.output.waiting(f"loading {settings.base.model}"):
        from transformers.utils import logging as transformers_logging

        from adaptrix_core.adapters.reference import parse_mix
        from adaptrix_core.cli.inspection.picture import draw
        from adaptrix_core.context.validator import ContextValidator
        from adaptrix_core.engine.build import build_engine

        transformers_logging.disable_progress_bar()  # this command shows its own progress
        terms = parse_mix(mix, settings.base.model)
        engine = build_engine(settings)
    try:
        text = prompt if raw else [{"role": "user", "content": prompt}]
        report = ContextValidator(engine, settings.context).compare(text, terms, layers, not no_attention)
    finally:
        engine.loader.close()
    session.output.result(report.as_dict(), lambda out: draw(report, out))
