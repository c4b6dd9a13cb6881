"""Numbers on the command line: no NaN and no infinity comes through any option, argument in JSON or list of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from adaptrix_core.cli.main import cli
from tests.cli.stand_in_server import StandIn, stand_in

Adaptrix = Callable[..., Result]
NO_NUMBERS = ("nan", "inf", "-inf", "1e999")


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as state:
        yield state


def float_options() -> list[tuple[click.Command, click.Option]]:
    """Every option that reads a number with a fraction, with its command."""
    return [
        (command, option)
        for command in cli.commands.values()
        for option in command.params
        if isinstance(option, click.Option) and option.type.name.startswith("float")
    ]


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(
    ("command", "option"), float_options(), ids=lambda one: one.name if isinstance(one, click.Command) else one.opts[0]
)
def test_every_option_refuses_all_but_finite_numbers(command: click.Command, option: click.Option, value: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        option.process_value(click.Context(command), value)
    assert str(float(value)) in str(refused.value) or value in str(refused.value)


def test_temperature_and_top_p_have_the_limits_of_every_request(adaptrix: Adaptrix, server: StandIn) -> None:
    for option, value, rule in (
        ("--temperature", "2.5", "'2.5' is not a number from 0.0 to 2.0"),
        ("--temperature", "warm", "'warm' is not a number from 0.0 to 2.0"),
        ("--top-p", "0", "'0' is not a number above 0.0 and at most 1.0"),
    ):
        done = adaptrix("query", "hi", option, value, "--url", server.url)
        assert (done.exit_code, rule in done.stderr) == (2, True), done.stderr
    assert server.paths == []
    assert adaptrix("query", "hi", "--temperature", "2", "--top-p", "1", "--url", server.url).exit_code == 0


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_json_of_the_callers_has_none_either(adaptrix: Adaptrix, server: StandIn, tmp_path: Path, number: str) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(f'{{"maximum": {number}}}')
    for asked in (("--compose", f'{{"parallel": {{"a": {number}}}}}'), ("--schema", schema)):
        done = adaptrix("query", "hi", *asked, "--url", server.url)
        assert (done.exit_code, "is not JSON" in done.stderr) == (2, True), done.output
    assert server.paths == []


@pytest.mark.parametrize("weights", ["nan,0.5", "0.5,inf", "0.5,much"])
def test_weights_of_a_merge_are_finite(adaptrix: Adaptrix, weights: str) -> None:
    done = adaptrix("merge", "a", "b", "--name", "c", "--weights", weights)
    assert (done.exit_code, f"--weights is '{weights}'; give finite numbers" in done.stderr) == (2, True), done.output
