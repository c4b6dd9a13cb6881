"""The errors of this half of the house, and whatever Ray or the disk raised as one of the project's.

Knows the ways in which Ray reports a lost process. Raises nothing of its own; what HTTP makes of errors is in
`http/errors.py`.
"""

from __future__ import annotations

import errno
import os

from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, RayServeException

from adaptrix_core import errors as core

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LOST = (RayActorError, ObjectLostError, NodeDiedError, WorkerCrashedError)
"""Ray's errors for a process that is gone, or for what it had not handed over."""
RAY_ERRORS = (RayServeException, RayError)
"""All that Ray and Ray Serve raise."""


class BodyTooLarge(core.InvalidRequest):
    """A request body over the configured limit."""

    code = "body_too_large"


class UnsupportedEncoding(core.InvalidRequest):
    """A body in a transfer form that is not read here."""

    code = "unsupported_encoding"


class AllBusy(core.Overloaded):
    """Every replica has refused a call; those like it need not ask for ``alike_s`` seconds."""

    def __init__(self, message: str, *, retry_after_s: float, alike_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.alike_s = alike_s


class NotReady(core.AdaptrixError):
    """The server, or a part of it that this request needs, is not ready or was lost."""

    code = "not_ready"


class ReplicaLost(NotReady):
    """The replica that served a request is gone, or let go of the request at its own end."""

    code = "replica_lost"


def as_core_error(error: BaseException) -> core.AdaptrixError:
    """Whatever was raised, here or in another process, as one of the project's errors."""
    if isinstance(error, RayTaskError):
        # The combined class that Ray makes hides instance attributes such as `code`; the cause has them.
        cause = error.cause
        return as_core_error(cause) if isinstance(cause, BaseException) and cause is not error else _unexpected(error)
    if isinstance(error, core.AdaptrixError):
        return error
    if isinstance(error, BackPressureError):
        return core.Overloaded("every replica has a full queue; send the request again in a moment")
    if isinstance(error, LOST):
        return ReplicaLost("the replica that served this request was lost; send it again")
    if isinstance(error, RAY_ERRORS):
        return NotReady(f"no replica could take the request ({type(error).__name__}); send it again in a moment")
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _NO_ROOM):
        return _storage_failed(error)
    return _unexpected(error)


def _storage_failed(error: OSError) -> core.StorageFailed:
    """Which file is told by its name alone: where the server keeps it is nobody's business."""
    name = f" ({os.path.basename(str(error.filename))!r})" if error.filename is not None else ""
    code = "storage_full" if error.errno in _NO_ROOM else None
    return core.StorageFailed(
        f"the server cannot use its files{name}: {error.strerror}; its operator has to look at adapters.state_dir and "
        "the temporary directory, then send the request again",
        code=code,
    )


def _unexpected(error: BaseException) -> core.AdaptrixError:
    return core.AdaptrixError(f"unexpected error ({type(error).__name__}); the server's log has the details")
