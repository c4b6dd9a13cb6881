"""The filter of system calls: each of the list is refused, by its right number, and other ABIs are no way around it."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

import pytest

from adaptrix_core.errors import SandboxUnavailable
from adaptrix_core.security.sandbox.system_calls import ARCHITECTURES, DENIED, FIRST_UNKNOWN, filter_program
from tests.sandboxes import needs_bubblewrap
from tests.security.sandbox.hostile import outcome_of, value_of

CALLS = {name: numbers for group in DENIED.values() for name, numbers in group.items()}
HERE = ARCHITECTURES.get(platform.machine())
_LIBRARY = ctypes.util.find_library("seccomp")


@needs_bubblewrap
def test_every_call_of_the_list_is_refused() -> None:
    assert HERE is not None
    numbers = {name: of[HERE.column] for name, of in CALLS.items() if of[HERE.column] is not None}
    body = "return {name: called(number, 0, 0, 0, 0, 0, 0) for name, number in a.items()}"
    refused = {name: "ENOSYS" if name == "clone3" else "EPERM" for name in numbers}
    assert value_of(body, numbers) == refused


@needs_bubblewrap
def test_calls_that_the_list_is_too_old_to_know_do_not_exist() -> None:
    numbers = [FIRST_UNKNOWN, FIRST_UNKNOWN + 1, 467, 999, 0x3FFFFFFF]
    assert value_of("return [called(number, 0, 0, 0, 0, 0, 0) for number in a]", numbers) == ["ENOSYS"] * len(numbers)


@needs_bubblewrap
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the second ABI of x86_64")
def test_calls_by_the_numbers_of_another_abi_end_the_process() -> None:
    getpid = 39
    assert value_of("return called(a) > 0", getpid) is True
    assert outcome_of("return called(a)", 0x40000000 + getpid).fault == "no result"


@pytest.mark.skipif(_LIBRARY is None, reason="libseccomp, which knows the numbers, is not installed")
@pytest.mark.parametrize(("machine", "architecture"), ARCHITECTURES.items())
def test_numbers_are_those_of_libseccomp(machine: str, architecture: object) -> None:
    resolve = ctypes.CDLL(_LIBRARY).seccomp_syscall_resolve_name_arch
    resolve.argtypes, resolve.restype = [ctypes.c_uint32, ctypes.c_char_p], ctypes.c_int
    of = ARCHITECTURES[machine]
    theirs = {name: resolve(of.audit, name.encode()) for name in CALLS}
    assert {name: numbers[of.column] for name, numbers in CALLS.items()} == {
        name: number if number >= 0 else None for name, number in theirs.items()
    }


def test_a_machine_without_numbers_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match="riscv64"):
        filter_program("riscv64")
