"""The system calls that code in a sandbox may not make, as a program for the kernel's filter (seccomp).

A classic BPF program, as in the kernel's Documentation/userspace-api/seccomp_filter.rst: it gets the number of the call
and the architecture that the number belongs to. Assembled here because no library that does it is kept well (pyseccomp:
2021), and because it is short: no arguments are looked at.

The list is of what a function of one thread never needs, and what reaches beyond the process, or parts of the kernel
that often had holes. Calls that this list is too old to know are answered as an old kernel would.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from adaptrix_core.errors import SandboxUnavailable

DENIED: Mapping[str, Mapping[str, tuple[int | None, int | None]]] = {
    "processes and threads": {
        "fork": (57, None),
        "vfork": (58, None),
        "clone": (56, 220),
        "clone3": (435, 435),
    },
    "namespaces": {"unshare": (272, 97), "setns": (308, 268)},
    "mounts and handles of files": {
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "move_mount": (429, 429),
        "open_tree": (428, 428),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
        "mount_setattr": (442, 442),
        "name_to_handle_at": (303, 264),
        "open_by_handle_at": (304, 265),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "swapon": (167, 224),
        "swapoff": (168, 225),
    },
    "other processes": {
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "process_madvise": (440, 440),
        "process_mrelease": (448, 448),
        "kcmp": (312, 272),
        "pidfd_open": (434, 434),
        "pidfd_getfd": (438, 438),
        "pidfd_send_signal": (424, 424),
        "perf_event_open": (298, 241),
    },
    "keys of the kernel": {"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    "code in the kernel": {
        "bpf": (321, 280),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "userfaultfd": (323, 282),
    },
    "rings of requests": {
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
        "io_setup": (206, 0),
    },
    "sockets": {"socket": (41, 198), "socketpair": (53, 199)},
    "memory and watches that no limit of the process counts": {
        "shmget": (29, 194),
        "shmat": (30, 196),
        "msgget": (68, 186),
        "semget": (64, 190),
        "mq_open": (240, 180),
        "memfd_create": (319, 279),
        "memfd_secret": (447, 447),
        "inotify_init": (253, None),
        "inotify_init1": (294, 26),
        "fanotify_init": (300, 262),
    },
    "placement of memory": {
        "mbind": (237, 235),
        "migrate_pages": (256, 238),
        "move_pages": (279, 239),
        "set_mempolicy": (238, 237),
    },
    "the machine": {
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "clock_adjtime": (305, 266),
        "adjtimex": (159, 171),
        "sethostname": (170, 161),
        "setdomainname": (171, 162),
        "reboot": (169, 142),
        "acct": (163, 89),
        "syslog": (103, 116),
        "vhangup": (153, 58),
        "lookup_dcookie": (212, 18),
        "personality": (135, 92),
        "iopl": (172, None),
        "ioperm": (173, None),
        "modify_ldt": (154, None),
        "uselib": (134, None),
    },
}
"""By what they reach: each call's number on x86_64 and on aarch64, None where there is none."""

FIRST_UNKNOWN = 454
"""Calls from this number on (Linux 6.7) are answered as not existing."""
_X32 = 0x40000000
"""Calls of the x32 ABI on x86_64 have this bit: the same calls under other numbers."""

_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K, BPF_RET|BPF_K of linux/bpf_common.h."""
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
"""Offsets in struct seccomp_data of linux/seccomp.h."""
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
"""SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO."""


@dataclass(frozen=True)
class Architecture:
    """A machine that the list has numbers for."""

    column: int
    """Which of a call's numbers."""
    audit: int
    """AUDIT_ARCH_… of linux/audit.h."""


ARCHITECTURES: Mapping[str, Architecture] = {
    "x86_64": Architecture(0, 0xC000003E),
    "aarch64": Architecture(1, 0xC00000B7),
}
"""By `platform.machine()`."""


def filter_program(machine: str | None = None) -> bytes:
    """The filter as an array of struct sock_filter, as `bwrap --seccomp` reads it. machine: None for this one.

    Calls of another architecture end the process. Raises SandboxUnavailable for a machine without numbers.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise SandboxUnavailable(
            f"no list of system calls for {machine} machines; there are lists for {', '.join(ARCHITECTURES)}"
        )
    architecture = ARCHITECTURES[machine]
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        *_unless(_EQUALS, architecture.audit, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        program += _when(_AT_LEAST, _X32, _KILL)
    program += _when(_AT_LEAST, FIRST_UNKNOWN, _FAIL | errno.ENOSYS)
    for calls in DENIED.values():
        for name, numbers in calls.items():
            if (number := numbers[architecture.column]) is not None:
                # Libraries fall back to an older call where this one does not exist.
                reason = errno.ENOSYS if name == "clone3" else errno.EPERM
                program += _when(_EQUALS, number, _FAIL | reason)
    return b"".join([*program, _instruction(_RETURN, _ALLOW)])


def _when(test: int, value: int, verdict: int) -> list[bytes]:
    return [_instruction(test, value, if_not=1), _instruction(_RETURN, verdict)]


def _unless(test: int, value: int, verdict: int) -> list[bytes]:
    return [_instruction(test, value, if_so=1), _instruction(_RETURN, verdict)]


def _instruction(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """struct sock_filter of linux/filter.h: code, instructions to skip if the test holds or does not, value."""
    return struct.pack("=HBBI", code, if_so, if_not, value)
