"""`show`: all facts about one adapter, and what is measured of how sure the base model or a mix is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from adaptrix_core.adapters.reference import RESERVED_NAMES
from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

MIX_SIGNS = frozenset("*+[(")
"""Characters of mixes and compositions that no name of an adapter has."""
EXAMPLES_SHOWN = 10
LABEL_WIDTH = 12


@click.command()
@click.argument("name", shell_complete=complete_adapters)
@target_options
@output_options
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Show adapter NAME or name@version: layers or parts, rank, size, licence, signer, sampling, measured quality.

    Of base and of a mix such as a*0.7+b*0.3: its adapters, and how sure its answers are, where that is calibrated.

    What an adapter says about itself is signed with it; the signer is the trusted key that a replica, or with --local
    this process, found to be right.
    """

    async def work() -> dict[str, Any]:
        async with session.target() as target:
            return await (target.show_mix(name) if is_mix else target.show(name))

    is_mix = name in RESERVED_NAMES or ("/" not in name and not MIX_SIGNS.isdisjoint(name))
    document = asyncio.run(work())
    session.output.result(document, lambda out: (_print_mix if is_mix else _print)(out, document))


def _print(out: Console, document: Mapping[str, Any]) -> None:
    from adaptrix_core.cli.output import printable, table

    said = document["metadata"] or {}
    out.print(f"{document['name']}@{document['version']}", style="bold", markup=False)
    if document["description"]:
        out.print(printable(document["description"]), markup=False)
    out.print()
    for label, value in _facts(document, said):
        out.print(printable(f"{label:<{LABEL_WIDTH}}{value}"), markup=False)
    measured = list(_scores(said.get("performance_metrics") or {}))
    if measured:
        out.print()
        out.print(table(("measured", "answered by", "right", "share", "95 % interval"), measured))
    _print_calibrations(out, document.get("calibrations") or ())
    examples = said.get("routing_examples") or ()
    if examples:
        out.print(f"\n{len(examples)} routing examples" + (", such as" if len(examples) > EXAMPLES_SHOWN else ""))
    for example in examples[:EXAMPLES_SHOWN]:
        out.print(printable(f"  {example}"), markup=False)


def _print_mix(out: Console, document: Mapping[str, Any]) -> None:
    """The adapters of a mix, none of the base model, and what is calibrated for it."""
    from adaptrix_core.cli.output import printable

    out.print(printable(document["name"]), style="bold", markup=False)
    out.print()
    for part in document["parts"]:
        out.print(printable(f"{'part':<{LABEL_WIDTH}}{part['name']}, digest {part['package_digest']}"), markup=False)
    if not document["calibrations"]:
        measure = f"adaptrix calibrate '{document['name']}' --family NAME"
        out.print(printable(f"{'confidence':<{LABEL_WIDTH}}unknown; `{measure}` measures it"), markup=False)
    _print_calibrations(out, document["calibrations"])


def _print_calibrations(out: Console, calibrations: Sequence[Mapping[str, Any]]) -> None:
    for calibration in calibrations:
        out.print()
        _print_calibration(out, calibration)


def _some(points: Sequence[tuple[str, ...]], most: int = 7) -> list[tuple[str, ...]]:
    """At most so many of them, evenly, the last one among them."""
    step = -(-len(points) // most)
    return list(points[::-1][::step][::-1])


def _print_calibration(out: Console, calibration: Mapping[str, Any]) -> None:
    """What a threshold on the confidence does, for one base model and layout."""
    from adaptrix_core.cli.output import printable, table

    measured = calibration["measured"]
    told = f"confidence on {calibration['base_lineage']}, {calibration['layout']}, by {calibration['estimator']}"
    if "answers" in measured:
        told += (
            f": AUROC {measured.get('auroc', 0):.2f}, calibration error {measured['ece']:.3f} of {measured['answers']}"
        )
    out.print(printable(told), markup=False)
    curves = {"min_confidence": calibration["curve"]}
    curves |= {f"… {policy}": curve for policy, curve in (calibration.get("policies") or {}).items()}
    for head, curve in curves.items():
        points = [(f"{p['threshold']:.2f}", f"{p['coverage']:.0%}", f"{p['accuracy']:.0%}") for p in curve]
        if points:
            out.print(table((printable(head), "answers given", "of these right"), _some(points)))


def _facts(document: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """(label, value) of the known facts, most interesting first."""
    if "base" in said:
        yield "base", said["base"]["lineage"]
    if "composition" in said:
        parts = said["parts"].items()
        yield "parts", ", ".join(f"{called.partition('@')[0]}@{part['version']}" for called, part in parts)
        yield "composed", json.dumps(said["composition"])
        if said.get("conflicts"):
            yield "conflict", _conflict(said["conflicts"])
    elif "base" in said:
        yield "layers", ", ".join(map(str, said["target_layers"]))
        yield "modules", ", ".join(said["target_modules"])
        yield "rank", f"{said['rank']}, alpha {said['alpha']:g}, at {document['num_points']} points"
    yield "size", f"{document['size_bytes'] / 1e6:.1f} MB"
    if "license" in said:
        yield "licence", said["license"]
        yield "created", said["created_date"]
    if "training" in said:
        yield "trained on", _trained_on(said.get("training") or {})
    yield "sampling", _sampling(document.get("sampling") or {})
    yield "signer", document.get("signer") or "nobody that is trusted"
    yield "digest", document["digest"]
    if document.get("alias_of"):
        yield "alias of", document["alias_of"]
    if document.get("withheld"):
        yield "withheld", f"{document['withheld']['message']}  [{document['withheld']['code']}]"
    for warning in document.get("warnings") or ():
        yield "warning", warning
    for replica, refusal in (document.get("refused") or {}).items():
        yield "refused by", f"{replica}: {refusal['message']}  [{refusal['code']}]"
    if document.get("residency"):
        yield "residency", ", ".join(f"{replica}: {place}" for replica, place in document["residency"].items())


def _conflict(measured: Mapping[str, Any]) -> str:
    """What its mix does to its adapters' own answers."""
    lost = ", ".join(f"{name} {share:.2f}" for name, share in measured["lost"].items())
    before = ", ".join(f"{name} {weight:g}" for name, weight in (measured["before"] or {}).items())
    return (
        f"{measured['score']:.2f} of its adapters' right answers expected to be lost ({lost}); "
        f"{measured['prompts']} prompts, {measured['layout']}, limit {measured['limit']:g}"
        + (f"; weights before: {before}" if before else "")
    )


def _trained_on(training: Mapping[str, Any]) -> str:
    parts = (("data", "{}"), ("examples", "{} examples"))
    return ", ".join(form.format(training[key]) for key, form in parts if key in training) or "not said"


def _sampling(explained: Mapping[str, Mapping[str, Any]]) -> str:
    """The sampling defaults that come from the adapter or the model."""
    asked = [(name, entry) for name, entry in explained.items() if entry["from"] != "default"]
    return ", ".join(f"{name} {entry['value']:g} ({entry['from']})" for name, entry in asked) or "default"


def _scores(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """One row per suite and condition of what `adaptrix evaluate` recorded; other figures one by one."""
    for suite, measured in metrics.items():
        conditions = measured.get("conditions") if isinstance(measured, dict) else None
        if not isinstance(conditions, dict):
            yield from ((suite, "", text, "", "") for text in _plain(measured))
            continue
        for condition, tasks in conditions.items():
            whole = tasks.get("all") if isinstance(tasks, dict) else None
            if isinstance(whole, dict) and {"right", "total", "share", "ci95"} <= set(whole):
                low, high = whole["ci95"]
                right = f"{whole['right']} of {whole['total']}"
                yield suite, condition, right, f"{whole['share']:.0%}", f"{low:.0%} to {high:.0%}"


def _plain(measured: object) -> Iterator[str]:
    if isinstance(measured, dict):
        yield from (f"{name} {value}" for name, value in measured.items() if not isinstance(value, dict | list))
    elif not isinstance(measured, list):
        yield str(measured)
