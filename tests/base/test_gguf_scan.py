"""What a GGUF file is, is read off its directories, past a vocabulary of any length."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as GGML

from adaptrix_core.base.gguf.scan import GGUFScan, scan_gguf


def write(file: Path, *kinds: GGML) -> Path:
    """A file with entries of every value type, and a matrix of each kind beside a plain norm."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("small")
    writer.add_bool("some.flag", True)
    writer.add_float32("general.sampling.temp", 0.6)
    writer.add_int32("general.sampling.top_k", 20)
    writer.add_float64("some.number", 1.5)
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_token_list([f"token {number}" for number in range(5000)])
    values = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    writer.add_tensor("output_norm.weight", np.ones(64, np.float32))
    for number, kind in enumerate(kinds):
        data = gguf.quantize(values, kind)
        writer.add_tensor(f"blk.{number}.ffn_up.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ((GGML.Q8_0,), ["Q8_0"]),
        ((GGML.Q8_0, GGML.Q4_1, GGML.Q4_1, GGML.F16), ["Q4_1", "Q8_0"]),
        ((GGML.F16,), []),
        ((GGML.F32, GGML.BF16), []),
        ((), []),
    ],
)
def test_quantised_types_are_found_and_plain_ones_are_none(
    kinds: tuple[GGML, ...], found: list[str], tmp_path: Path
) -> None:
    assert list(scan_gguf(write(tmp_path / "small.gguf", *kinds)).quantised) == found


def test_what_the_file_says_of_sampling_is_found(tmp_path: Path) -> None:
    found = scan_gguf(write(tmp_path / "small.gguf", GGML.Q8_0)).sampling
    assert found == {"temperature": 0.6, "top_k": 20}


@pytest.mark.parametrize("kept", [0, 3, 30, 400, 60_000])
def test_a_file_that_is_cut_off_says_nothing(kept: int, tmp_path: Path) -> None:
    file = write(tmp_path / "small.gguf", GGML.Q8_0)
    file.write_bytes(file.read_bytes()[:kept])
    assert scan_gguf(file) == GGUFScan()


def test_a_length_beyond_all_files_says_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "small.gguf", GGML.Q8_0)
    data = bytearray(file.read_bytes())
    data[24:32] = b"\xff" * 8  # the length of the first key
    file.write_bytes(data)
    assert scan_gguf(file) == GGUFScan()
