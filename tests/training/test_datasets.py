"""Training pairs from files: what is right becomes pairs, what is wrong is named with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adaptrix_core.errors import ConfigError, DataError
from adaptrix_core.training.examples.datasets import load_conversations


def load_pairs(data: str, count: int, seed: int) -> list[tuple[str | None, str]]:
    """Question and reply of conversations that are one question each."""
    return [(one.question, one.reply["content"]) for one in load_conversations(data, count, seed)]


def jsonl(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_family_gives_its_training_problems() -> None:
    pairs = load_pairs("math_reasoning", 6, seed=1)
    assert len(pairs) == 6
    assert all("Answer:" in reply for _, reply in pairs)


def test_jsonl_of_prompts_and_of_messages(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "completion": "b"},
        {"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]},
        {"prompt": "e", "completion": "f"},
    ]
    path = jsonl(tmp_path / "x.jsonl", rows)
    assert load_pairs(str(path), 10, 0) == [("a", "b"), ("c", "d"), ("e", "f")]
    assert load_pairs(str(path), 2, 0) == [("a", "b"), ("c", "d")]


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "x.jsonl",
        [
            {"prompt": "a", "completion": "b"},
            {"prompt": "a"},
            {"prompt": "", "completion": "b"},
            {"prompt": 3, "completion": "b"},
            [1],
            {"messages": [{"role": "user", "content": "c"}]},
        ],
    )
    with path.open("a") as file:
        file.write("{not json\n")
    with pytest.raises(DataError) as raised:
        load_pairs(str(path), 100, 0)
    assert [fault.split(":")[0] for fault in raised.value.faults] == [f"x.jsonl line {n}" for n in range(2, 8)]


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match="no examples"):
        load_pairs(str(path), 10, 0)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"question": "a", "answer": "b"}', "it has 'question', 'answer'"),
        (b'{"promt": "a", "completion": "b"}', "'promt': did you mean 'prompt'?"),
        (b'{"prompt": "a", "completion": "  "}', "completion is '  '"),
        (b'{"prompt": "\xff", "completion": "b"}', "byte 13 is not UTF-8"),
        (b"[", "array over several lines"),
        (b"a,b", "not JSON"),
        (b'{"messages": "hi"}', "not a list of objects"),
        (b'{"messages": [{"role": "system", "content": "c"}]}', "have the roles ['system']"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong_with_it(line: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"prompt": "a", "completion": "b"}\n' + line + b"\n")
    with pytest.raises(DataError) as raised:
        load_pairs(str(path), 100, 0)
    (fault,) = raised.value.faults
    assert fault.startswith("x.jsonl line 2: ")
    assert complaint in fault


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"prompt": "a", "completion": "b"}\n')
    assert load_pairs(str(tmp_path / "x.jsonl"), 1, 0) == [("a", "b")]


@pytest.mark.parametrize("data", ["math_reasonin", "gms8k", "gms8k:here.json", "code-alpacca"])
def test_a_name_that_is_nearly_right_is_suggested(data: str) -> None:
    with pytest.raises(DataError, match=r"did you mean '(math_reasoning|gsm8k|code-alpaca)'"):
        load_pairs(data, 10, 0)


def test_a_file_that_is_nearly_there_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("")
    with pytest.raises(DataError, match=r"no such file; did you mean 'pairs\.jsonl'"):
        load_pairs(str(tmp_path / "pair.jsonl"), 10, 0)
    with pytest.raises(DataError, match=r"a directory.*pairs\.jsonl"):
        load_pairs(str(tmp_path), 10, 0)
    with pytest.raises(DataError, match="there is no directory"):
        load_pairs(str(tmp_path / "nowhere" / "pairs.jsonl"), 10, 0)


def test_unknown_data_says_what_is_known() -> None:
    with pytest.raises(ConfigError, match=r"math_reasoning.*gsm8k.*code-alpaca.*reclor"):
        load_pairs("no_such_thing", 10, 0)


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("no_cache")
def test_gsm8k_rows(tmp_path: Path) -> None:
    row = {"question": "How many?", "answer": "2+3 = <<2+3=5>>5 apples.\nSo <<5*2=10>>10.\n#### 10"}
    path = jsonl(tmp_path / "gsm8k.jsonl", [row, row])
    assert load_pairs(f"gsm8k:{path}", 1, 0) == [("How many?", "2+3 = 5 apples.\nSo 10.\nAnswer: 10")]


@pytest.mark.usefixtures("no_cache")
def test_code_alpaca_rows(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Sort it.", "input": "[2, 1]", "output": "[1, 2]"},
        {"instruction": "Write f.", "input": "", "output": "def f(): pass"},
    ]
    path = jsonl(tmp_path / "alpaca.json", rows)
    assert load_pairs(f"code-alpaca:{path}", 5, 0) == [("Sort it.\n\n[2, 1]", "[1, 2]"), ("Write f.", "def f(): pass")]


@pytest.mark.usefixtures("no_cache")
def test_reclor_rows(tmp_path: Path) -> None:
    row = {"context": "C.", "question": "Q?", "answers": ["w", "x", "y", "z"], "label": 2, "id_string": "train_0"}
    path = jsonl(tmp_path / "reclor.json", [row])
    assert load_pairs(f"reclor:{path}", 5, 0) == [("C.\n\nQ?\nA. w\nB. x\nC. y\nD. z", "Answer: C. y")]


@pytest.mark.usefixtures("no_cache")
def test_rows_of_another_schema_are_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "other.json", [{"text": "hello"}])
    with pytest.raises(ConfigError, match="no question, answer; it has text"):
        load_pairs(f"gsm8k:{path}", 5, 0)


GSM8K = {"question": "How many?", "answer": "1\n#### 1"}
RECLOR = {"context": "C.", "question": "Q?", "answers": ["w", "x", "y", "z"], "label": 2}


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize(
    ("name", "row", "complaint"),
    [
        ("gsm8k", GSM8K | {"question": 5}, "row 0: question is 5; it must be text"),
        ("gsm8k", GSM8K | {"answer": None}, "row 0: answer is None; it must be text"),
        ("code-alpaca", {"instruction": "a", "input": None, "output": "b"}, "row 0: input is None; it must be text"),
        ("code-alpaca", {"instruction": "a", "input": "", "output": ["b"]}, r"row 0: output is \['b'\]"),
        ("reclor", RECLOR | {"answers": "wxyz"}, "row 0: answers is 'wxyz'; it must be a list"),
        ("reclor", RECLOR | {"answers": ["w"]}, "row 0: answers is .*four texts"),
        ("reclor", RECLOR | {"answers": [1, 2, 3, 4]}, "row 0: answers is .*four texts"),
        ("reclor", RECLOR | {"label": "2"}, "row 0: label is '2'; it must be a whole number"),
        ("reclor", RECLOR | {"label": True}, "row 0: label is True; it must be a whole number"),
        ("reclor", RECLOR | {"label": 4}, "row 0: label is 4; it must be 0 to 3"),
        ("reclor", RECLOR | {"label": -1}, "row 0: label is -1; it must be 0 to 3"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(name: str, row: dict[str, object], complaint: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.json", [row])
    with pytest.raises(ConfigError, match=complaint):
        load_pairs(f"{name}:{path}", 5, 0)


@pytest.mark.usefixtures("no_cache")
def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*nothing\.json"):
        load_pairs(f"gsm8k:{tmp_path / 'nothing.json'}", 5, 0)
