"""One error tree for the whole project.

Every error carries a stable ``code`` (for programs) and a message (for people) that says what was wrong, the value, the
limit and the next step. The codes, with the HTTP status of each, are in `error_codes.py`; the command line maps a class
to an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence


class AdaptrixError(Exception):
    """Base class. ``code`` is stable across versions; ``param`` names the request field at fault, if one is."""

    code = "internal_error"
    bundle_digest: str | None = None
    """The adapter that is at fault, where it is one among several (see `digests.py`)."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (Ray): keyword-only fields must survive pickling.
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(cls: type[AdaptrixError], message: str, state: dict[str, object]) -> AdaptrixError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class ConfigError(AdaptrixError):
    """Settings that cannot be used; ``faults`` lists all of them, not just the first."""

    code = "invalid_config"
    about = "the settings"

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        plural = "" if len(self.faults) == 1 else "s"
        listed = "\n".join(f"- {fault}" for fault in self.faults)
        super().__init__(f"{len(self.faults)} fault{plural} in {self.about}:\n{listed}")


class DataError(ConfigError):
    """Examples that cannot be used; ``faults`` name the lines."""

    code = "invalid_data"
    about = "the data"


class ExtensionError(AdaptrixError):
    """A part that another package adds and that cannot be used (`extensions.py`)."""

    code = "bad_extension"


class UnknownExtension(ExtensionError):
    """A name that no part has."""

    code = "unknown_extension"


class TrainingStopped(AdaptrixError):
    """A training that was asked to stop before its end; its progress is kept."""

    code = "training_stopped"


class SandboxUnavailable(AdaptrixError):
    """Code that cannot be run, because the sandbox that was asked for does not work here."""

    code = "sandbox_unavailable"


class InvalidRequest(AdaptrixError):
    """A request that can never succeed as it stands."""

    code = "invalid_request"


class ContextLengthExceeded(InvalidRequest):
    """Prompt (plus requested tokens) longer than the base model's context."""

    code = "context_length_exceeded"


class BaseModelError(AdaptrixError):
    """The base model cannot be found, read or used (codes: base_not_found, unknown_family, bad_base,
    unsupported_gguf, no_device)."""

    code = "bad_base"


class AdapterNotFound(AdaptrixError):
    """No adapter of that name or version in the catalogue."""

    code = "adapter_not_found"


class AdapterExists(AdaptrixError):
    """An adapter of that name is there already, with other contents."""

    code = "adapter_exists"


class Conflict(AdaptrixError):
    """The request contradicts the present state (a version with other contents, an older revocation list)."""

    code = "conflict"


class AdapterRejected(AdaptrixError):
    """An adapter that must not be loaded; ``code`` says why (`error_codes.PACKAGE`)."""

    code = "adapter_rejected"


class CacheFull(AdaptrixError):
    """Pinned adapters fill the budget; the requested ones can never fit beside them."""

    code = "cache_full"


class RetryLater(AdaptrixError):
    """A request that cannot be served now, but may be later: in ``retry_after_s`` seconds, where that is known."""

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.retry_after_s = retry_after_s
        self.replica_id: str | None = None
        """The replica that has refused; None outside of one."""


class Overloaded(RetryLater):
    """The queue is full, or its end is too far away; the same request may succeed later."""

    code = "overloaded"
    wait_s: float | None = None  # a class attribute too: errors from a replica of an older version lack it

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        wait_s: float | None = None,
    ) -> None:
        """wait_s: expected wait in seconds, where that is the reason for the refusal."""
        super().__init__(message, code=code, param=param, retry_after_s=retry_after_s)
        self.wait_s = wait_s


class AdapterUnavailable(RetryLater):
    """An adapter that cannot be loaded now, although it has no known fault."""

    code = "adapter_unavailable"


class StorageFailed(AdaptrixError):
    """Files could not be written or read: a full disk (code storage_full), or an unusable directory."""

    code = "storage_failed"


class AuditUnavailable(AdaptrixError):
    """The audit log cannot be written, so what has to be recorded before it is done is not done."""

    code = "audit_unavailable"


class TrackerUnusable(AdaptrixError):
    """The tracker's file cannot be read or written, or is not one of its files."""

    code = "tracker_unusable"


class AdapterBusy(RetryLater):
    """Another request is loading, publishing or unloading under the same name."""

    code = "adapter_busy"


class RequestNotFound(AdaptrixError):
    """No running request of that id (it may have ended)."""

    code = "request_not_found"


class RequestTimeout(AdaptrixError):
    """The request's deadline passed before it ended."""

    code = "timeout"


class EngineStopped(AdaptrixError):
    """The engine has stopped or failed and takes no more work."""

    code = "engine_stopped"


class EngineHung(EngineStopped):
    """The engine's thread makes no progress; its process ends."""

    code = "engine_hung"

    def __init__(self, message: str, *, was_in_step: bool = False) -> None:
        """was_in_step: whether the request that gets this error was in the step that hangs."""
        super().__init__(message)
        self.was_in_step = was_in_step


class Unauthorized(AdaptrixError):
    """No API key, or one that is not known."""

    code = "invalid_api_key"


class Forbidden(AdaptrixError):
    """A known principal without the scope that the call needs."""

    code = "insufficient_scope"


class ServerUnavailable(AdaptrixError):
    """The command line could not reach a server."""

    code = "server_unavailable"


class ConversationNotFound(AdaptrixError):
    """No conversation of that number in the command line's log."""

    code = "conversation_not_found"


class LogUnusable(AdaptrixError):
    """The command line's log of questions and answers cannot be read or written."""

    code = "log_unusable"
