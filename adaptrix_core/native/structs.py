"""The records and codes that Python and the kernels exchange; `src/interface.h` documents their fields."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adaptrix_core.native.interface import Interface
from adaptrix_core.native.sources import SOURCES

INTERFACE = Interface((SOURCES / "interface.h").read_text())

Matrix = INTERFACE.record("Matrix")
Layer = INTERFACE.record("Layer")
Model = INTERFACE.record("Model")
Places = INTERFACE.record("Places")
Step = INTERFACE.record("Step")
Norm = INTERFACE.record("Norm")
EncoderLayer = INTERFACE.record("EncoderLayer")
EncoderModel = INTERFACE.record("EncoderModel")

TERM = np.dtype(INTERFACE.record("Term"))
"""One adapter at one injection point, and its tokens, as a type for arrays of them."""

GATE = np.dtype(INTERFACE.record("Gate"))
"""One gate at one injection point, and its tokens, as a type for arrays of them."""

MOST_GATE_TERMS = INTERFACE.codes("GateSize")["kGateTerms"]
"""Most terms that a gate weighs."""

_LAYOUTS, _BANK_TYPES = INTERFACE.codes("Layout"), INTERFACE.codes("BankType")
LAYOUT_CODES: Mapping[str, int] = {"int4": _LAYOUTS["kInt4"], "int8": _LAYOUTS["kInt8"]}
BANK_CODES: Mapping[str, int] = {
    "float32": _BANK_TYPES["kFloat"],
    "float16": _BANK_TYPES["kHalf"],
    "int8": _BANK_TYPES["kByte"],
}
