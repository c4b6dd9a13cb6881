"""Errors that only the server has, and the conversion of Ray's and the disk's errors to the project's.

Knows the ways in which Ray reports a lost process. Raises nothing of its own; `http/errors.py` turns errors into HTTP.
"""

from __future__ import annotations

import errno
import os

from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, RayServeException

from adaptrix_core import errors as core
from adaptrix_core.routing.trunk.route_answer import RouteAnswer

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LOST = (RayActorError, ObjectLostError, NodeDiedError, WorkerCrashedError)
"""Ray's errors for a process that is gone, or for an object that went with it."""
RAY_ERRORS = (RayServeException, RayError)
"""Base classes of all errors of Ray and Ray Serve."""


class BodyTooLarge(core.InvalidRequest):
    """A request body over the configured limit."""

    code = "body_too_large"


class UnsupportedEncoding(core.InvalidRequest):
    """A body in a content encoding that this server does not read."""

    code = "unsupported_encoding"


class ObjectNotFound(core.AdaptrixError):
    """No object of that id, or one of another tenant: nobody can tell which."""

    code = "object_not_found"


class QuotaFull(core.AdaptrixError):
    """As many bytes of objects are kept for a tenant as it may have."""

    code = "quota_full"


class AllBusy(core.Overloaded):
    """Overload: every replica has refused a call, and would refuse others of its kind for ``alike_s`` seconds."""

    def __init__(self, message: str, *, retry_after_s: float, alike_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.alike_s = alike_s


class ChosenComposition(core.AdapterRejected):
    """A composition that a replica has chosen at the cut, and cannot compute in the call that left the choice open."""

    def __init__(self, refused: core.AdaptrixError, route: RouteAnswer) -> None:
        """refused: why the call cannot be computed. route: the decision by which the composition answers."""
        super().__init__(refused.message, code=refused.code, param=refused.param)
        self.bundle_digest = refused.bundle_digest
        self.route = route


class NotReady(core.AdaptrixError):
    """The server, or a part of it that this request needs, is not ready or was lost."""

    code = "not_ready"


class ReplicaLost(NotReady):
    """The replica that served a request is gone, or dropped the request as it ended."""

    code = "replica_lost"


def as_core_error(error: BaseException) -> core.AdaptrixError:
    """Any exception, of this process or another one, as one of the project's errors."""
    if isinstance(error, RayTaskError):
        # Ray's combined class hides instance attributes such as `code`; the cause has them.
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
    """The error, naming the file without its directory: clients must not learn where the server keeps it."""
    name = f" ({os.path.basename(str(error.filename))!r})" if error.filename is not None else ""
    code = "storage_full" if error.errno in _NO_ROOM else None
    return core.StorageFailed(
        f"the server cannot use its files{name}: {error.strerror}; its operator has to look at adapters.state_dir and "
        "the temporary directory, then send the request again",
        code=code,
    )


def _unexpected(error: BaseException) -> core.AdaptrixError:
    return core.AdaptrixError(f"unexpected error ({type(error).__name__}); the server's log has the details")
