"""A GGUF file's lineage is what the file says of itself, wherever it lies."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
import torch
from gguf import GGUFWriter

from adaptrix_core.base.gguf.header import general_texts
from adaptrix_core.base.source import resolve


def written(path: Path, name: str | None) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_file_type(3)
    writer.add_languages(["en", "de"])
    if name is not None:
        writer.add_name(name)
    writer.add_finetune("instruct")
    writer.add_context_length(64)
    writer.add_string("general.late", "not among the first")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_the_general_texts_are_read_past_numbers_and_lists(tmp_path: Path) -> None:
    texts = general_texts(written(tmp_path / "a.gguf", "Größe 7B"))
    assert texts == {"architecture": "llama", "name": "Größe 7B", "finetune": "instruct"}


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"GGUX" + bytes(40),
        b"GGUF" + struct.pack("<IQQ", 99, 0, 1),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 2**62, 12) + b"general.name" + struct.pack("<IIQ", 9, 8, 2**62),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2) + b"\xff\xff",
    ],
    ids=["empty", "magic", "version", "length", "array", "encoding"],
)
def test_a_damaged_header_says_nothing_and_takes_no_time(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(damage)
    assert general_texts(path) == {}


def test_any_cut_of_a_header_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.gguf", "model")
    full, data = general_texts(whole), whole.read_bytes()
    for length in range(len(data)):
        whole.write_bytes(data[:length])
        assert general_texts(whole).items() <= full.items()


def test_two_models_in_one_directory_have_their_own_lineages(gguf_file: Path) -> None:
    other = gguf_file.with_name("other.gguf")
    other.write_bytes(gguf_file.read_bytes().replace(b"tiny", b"mini", 1))
    lineages = {path.name: resolve(str(path), torch.float32).lineage for path in (gguf_file, other)}
    assert lineages == {"tiny-llama.gguf": "gguf:tiny", "other.gguf": "gguf:mini"}


def test_one_file_in_two_places_has_one_lineage_and_it_names_no_place(gguf_file: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "renamed.gguf"
    moved.parent.mkdir()
    shutil.copy(gguf_file, moved)
    first, again = (resolve(str(path), torch.float32) for path in (gguf_file, moved))
    assert first.lineage == again.lineage
    assert str(tmp_path) not in (first.directory / "adaptrix_base.json").read_text()
