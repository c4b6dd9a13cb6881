"""Sources of training conversations: a task family, a JSONL file, or a data set known by name.

Named data sets are pairs of texts; they are read with the `datasets` library from a hub id, or from a local file of the
same schema given as ``name:path``.

Does not know tokens, models or adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrix_core.errors import DataError
from adaptrix_core.suggestions import did_you_mean
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.jsonl import read_jsonl
from adaptrix_core.training.tasks.families import FAMILIES
from adaptrix_core.training.tasks.tool_use.family import TOOL_USE

Pair = tuple[str, str]
"""(what the user asks, what to reply)"""

_IN_WORDS = {str: "text", int: "a whole number", list: "a list"}


@dataclass(frozen=True)
class NamedDataset:
    """A data set of the hub: its id, the fields and types of a row, and the conversion of a row to a pair."""

    hub_id: str
    config: str | None
    fields: Mapping[str, type]
    to_pair: Callable[[Mapping[str, Any]], Pair]


def _gsm8k(row: Mapping[str, Any]) -> Pair:
    """Question; worked solution without the calculator annotations, its "#### 42" as an answer line."""
    working, _, answer = row["answer"].rpartition("####")
    plain = "".join(part.partition(">>")[2] if i else part for i, part in enumerate(working.split("<<")))
    return row["question"].strip(), f"{plain.strip()}\nAnswer: {answer.strip()}"


def _code_alpaca(row: Mapping[str, Any]) -> Pair:
    given = f"\n\n{row['input'].strip()}" if row["input"].strip() else ""
    return row["instruction"].strip() + given, row["output"].strip()


def _reclor(row: Mapping[str, Any]) -> Pair:
    """Context, question and lettered options; the letter and text of the right one.

    Raises ValueError for answers that are not four texts, and for a label that is none of them.
    """
    answers, label = row["answers"], row["label"]
    if len(answers) != 4 or not all(isinstance(text, str) for text in answers):
        raise ValueError(f"answers is {answers!r}; it must be four texts")
    if not 0 <= label < 4:
        raise ValueError(f"label is {label}; it must be 0 to 3")
    options = [f"{letter}. {text.strip()}" for letter, text in zip("ABCD", answers, strict=True)]
    question = "\n".join([row["context"].strip(), "", row["question"].strip(), *options])
    return question, f"Answer: {options[label]}"


NAMED: dict[str, NamedDataset] = {
    "gsm8k": NamedDataset("openai/gsm8k", "main", {"question": str, "answer": str}, _gsm8k),
    "code-alpaca": NamedDataset(
        "sahil2801/CodeAlpaca-20k", None, {"instruction": str, "input": str, "output": str}, _code_alpaca
    ),
    "reclor": NamedDataset(
        "metaeval/reclor", None, {"context": str, "question": str, "answers": list, "label": int}, _reclor
    ),
}


def load_conversations(data: str, count: int, seed: int) -> list[LearntConversation]:
    """At most ``count`` conversations from ``data``: a family of problems, a named data set, or a JSONL file's path.

    A named data set is ``gsm8k``, ``code-alpaca`` or ``reclor``, read from the hub, or with ``:path`` from a local file
    of the same schema. Raises DataError, listing the known names, or the faults with their places.
    """
    if data in FAMILIES:
        return [LearntConversation.of_pair(p.question, p.reference) for p in FAMILIES[data].training(count, seed)]
    name, _, path = data.partition(":")
    if name in NAMED:
        return [LearntConversation.of_pair(*pair) for pair in _named_pairs(name, Path(path) if path else None, count)]
    if Path(data).is_file():
        return read_jsonl(Path(data), count)
    raise DataError([_no_such_data(data)])


def _no_such_data(data: str) -> str:
    path = Path(data).expanduser()
    if path.is_dir():
        return f"data is {data!r}: a directory; name a JSONL file in it ({_beside(path / 'x')})"
    name, colon, _ = data.partition(":")
    if not colon and (path.suffix or "/" in data):
        return f"data is {data!r}: no such file; {_beside(path)}; data sets by name: {', '.join(NAMED)}"
    known = (*FAMILIES, TOOL_USE.name, *NAMED)
    return f"data is {data!r}: neither a file nor a known data set; {did_you_mean(name, known)}"


def _beside(path: Path) -> str:
    """The files beside ``path``, for a message about a missing file."""
    place = path.parent
    if not place.is_dir():
        return f"there is no directory {str(place)!r} either"
    files = sorted(file.name for file in place.iterdir() if file.suffix in (".jsonl", ".json"))
    return did_you_mean(path.name, files[:10], f"JSON files in {str(place)!r}")


def _named_pairs(name: str, path: Path | None, count: int) -> list[Pair]:
    known = NAMED[name]
    if path is not None and not path.is_file():
        raise DataError([f"data {name!r}: no file {str(path)!r}; {_beside(path)}"])
    from datasets import load_dataset  # slow to import, and only named data sets need it

    try:
        if path is None:
            rows: Iterable[Mapping[str, Any]] = load_dataset(known.hub_id, known.config, split="train")
        else:
            kind = "parquet" if path.suffix == ".parquet" else "json"
            rows = load_dataset(kind, data_files=str(path), split="train")
    except Exception as error:  # the library raises many kinds of errors; each means that there is no data
        where = path if path is not None else f"the hub ({known.hub_id})"
        raise DataError([f"data {name!r} cannot be read from {where}: {error}"]) from error
    pairs: list[Pair] = []
    for number, row in enumerate(rows):
        if len(pairs) == count:
            break
        try:
            pairs.append(_named_pair(known, row))
        except ValueError as error:
            raise DataError([f"data {name!r} row {number}: {error}"]) from error
    return pairs


def _named_pair(known: NamedDataset, row: Mapping[str, Any]) -> Pair:
    """Raises ValueError that names the field at fault."""
    missing = [field for field in known.fields if field not in row]
    if missing:
        raise ValueError(f"no {', '.join(missing)}; it has {', '.join(row)}")
    for field, wanted in known.fields.items():
        if not isinstance(row[field], wanted) or isinstance(row[field], bool):
            raise ValueError(f"{field} is {row[field]!r}; it must be {_IN_WORDS[wanted]}")
    return known.to_pair(row)
