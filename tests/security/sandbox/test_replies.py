"""A reply is what it claims to be, a value for each call, or it is none."""

from __future__ import annotations

import pytest

from adaptrix_core.security.sandbox.call import SandboxOutcome, read_reply
from tests.sandboxes import needs_bubblewrap
from tests.security.sandbox.hostile import outcome_of

NOTHING = SandboxOutcome((), "no result")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"7",
        b"[1]",
        b'"values"',
        b"{}",
        b'{"values": []}',
        b'{"values": [1, 2]}',
        b'{"values": 1}',
        b'{"values": [1], "fault": "KeyError"}',
        b'{"fault": 1}',
        b'{"fault": "a name\\u001b[31m"}',
        b'{"fault": "' + b"x" * 101 + b'"}',
        b"[" * 500_000,
        b'{"values": [' + b"9" * 100_000 + b"]}",
    ],
    ids=range(16),
)
def test_what_is_no_reply_is_no_result(line: bytes) -> None:
    assert read_reply(line, 1) == NOTHING


def test_replies_are_read() -> None:
    assert read_reply(b'{"values": [1, null]}', 2) == SandboxOutcome((1, None))
    assert read_reply(b'{"fault": "KeyError"}', 2) == SandboxOutcome((), "KeyError")


@needs_bubblewrap
@pytest.mark.parametrize("to", [0, 1, 2])
def test_a_forged_reply_on_a_standard_stream_is_not_taken(to: int) -> None:
    body = """
    tried(lambda: os.write(a, b'{"values": ["forged"]}\\n'))
    return 'returned'
    """
    assert outcome_of(body, to).values == ("returned",)


@needs_bubblewrap
def test_a_forged_reply_of_another_form_is_a_fault() -> None:
    assert outcome_of("""os.write(3, b'{"values": [1, 2, 3]}\\n')""") == NOTHING
    assert outcome_of("os.write(3, b'[' * 500_000 + b'\\n')") == NOTHING


@needs_bubblewrap
@pytest.mark.parametrize(
    "body",
    [
        "os.closerange(0, 64)",
        "os.dup2(0, 3)",
        "os.dup2(2, 3); os.close(1)",
        "os._exit(0)",
        "os.execv(sys.executable, ['x'])",
    ],
)
def test_streams_that_are_closed_or_exchanged_are_a_fault(body: str) -> None:
    assert outcome_of(body, seconds=2.0).fault is not None


@needs_bubblewrap
def test_an_exception_has_no_say_in_the_name_of_the_fault() -> None:
    body = "raise type('evil\\x1b[31m', (Exception,), {})()"
    assert outcome_of(body) == NOTHING
