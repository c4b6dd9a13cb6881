"""Python and C++ read one header, so a record cannot be one thing here and another there."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from adaptrix_core.errors import BaseModelError
from adaptrix_core.native import library, structs
from adaptrix_core.native.interface import Interface
from adaptrix_core.native.sources import SOURCES
from adaptrix_core.native.structs import INTERFACE

HEADER = (SOURCES / "interface.h").read_text()
RECORDS = ("Matrix", "Layer", "Model", "Places", "Term", "Step", "Norm", "EncoderLayer", "EncoderModel")


@pytest.mark.parametrize(
    ("declared", "changed", "named"),
    [
        ("int64_t longest;", "int64_t longest; int64_t shortest;", "Step"),
        ("int64_t longest;", "", "Step"),
        ("float eps, scale;", "float eps; int64_t scale;", "Model"),
        ("const float *weight, *shift;", "const float *weight, *shift, *mean;", "EncoderLayer, Norm"),
        (
            "typedef struct {\n    int32_t end;",
            "typedef struct { int32_t a; } New; typedef struct {\n    int32_t end;",
            "New",
        ),
    ],
    ids=["a field more", "a field less", "a wider field", "a record inside others", "a record more"],
)
def test_a_library_of_another_header_is_refused(declared: str, changed: str, named: str) -> None:
    assert declared in HEADER
    with pytest.raises(BaseModelError, match=f"another header, which differs in {named}$") as refused:
        Interface(HEADER.replace(declared, changed)).load(Path(library()._name))
    assert refused.value.code == "no_kernels"


def test_every_field_lies_where_the_compiler_puts_it(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    claims = [
        f"static_assert(offsetof({name}, {field}) == {getattr(INTERFACE.record(name), field).offset});"
        for name in RECORDS
        for field, *_ in INTERFACE.record(name)._fields_
    ]
    claims += [f"static_assert(sizeof({name}) == {ctypes.sizeof(INTERFACE.record(name))});" for name in RECORDS]
    probe = tmp_path / "probe.cpp"
    probe.write_text("\n".join(["#include <cstddef>", "#include <cstdint>", HEADER, *claims]))
    done = subprocess.run([compiler, "-std=c++17", "-fsyntax-only", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_the_header_does_not_know_is_an_error() -> None:
    with pytest.raises(AttributeError, match="depth"):
        structs.Model(hidden=64, depth=2)


def test_a_function_takes_the_record_that_the_header_says() -> None:
    with pytest.raises(ctypes.ArgumentError):
        library().adaptrix_stack_new(ctypes.byref(structs.EncoderModel()))
