"""Every error code, once: what it means, and the HTTP status and OpenAI error type it is sent with.

A code is stable across versions; messages are not. The HTTP edge takes statuses from here, `docs/errors.md` is written
from here, and a test holds every code in the sources against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCode:
    """One row of the table."""

    code: str
    meaning: str
    """When it is raised, and the remedy where it is not obvious."""
    status: int
    """HTTP status."""
    openai_type: str
    """``type`` in OpenAI's error document."""
    is_local: bool = False
    """Whether only the library or the command line raises it; its status would be that of a fault of the server."""


REQUEST = {
    "invalid_request": "a field's value, or a combination of fields, that can never be served; the message names it",
    "unsupported_field": "a field that this server does not know or does not act upon",
    "context_length_exceeded": "prompt and wanted tokens together are longer than the base model's context",
    "invalid_json": "the body is not a JSON object",
    "invalid_utf8": "the body is not UTF-8 text",
    "json_too_deep": "the body is nested too deeply",
    "json_too_many_values": "the body holds too many values",
    "number_too_long": "the body holds a number of too many digits",
    "too_many_lines": "the input of a batch has more lines than a batch may have",
    "empty_input": "the input of a batch has no lines",
    "batch_cancelled": "in a batch's files: the batch was cancelled before the line was answered",
    "batch_expired": "in a batch's files: the batch was not done in its time; send the line again",
    "batch_failed": "in a batch's files: the batch has failed before the line was answered",
    "bad_form": "the body is not a form with one file, as `/v1/files` takes it",
    "text_too_long": "the texts of the body have too many characters together",
    "too_many_logprobs": "a whole answer would hold too many log-probabilities; stream it, or ask for fewer",
    "grammar_too_large": "a JSON schema, regular expression or grammar of too many characters",
    "grammar_too_costly": "a JSON schema, regular expression or grammar that takes too much processor time to prepare",
    "grammar_failed": "a JSON schema, regular expression or grammar that became too costly during an answer",
    "request_hung": "two replicas have hung while they computed this request; it is not tried again",
    "previous_response_not_found": "`previous_response_id` names no response that is stored for this tenant",
    "unknown_conversation": "`conversation` names none that is kept for this tenant",
    "item_not_found": "an `item_reference` names no item of a response that is stored for this tenant",
    "not_calibrated": "`min_confidence` where nothing is calibrated for who answers, the base model and its layout",
    "adapter_exists": "a loaded adapter has that name already, with other contents",
    "unknown_extension": "no installed package has a part (router signal, composition strategy, …) of that name",
}
CONFLICT = {
    "object_changed": "other requests change the object all the time; send the request again",
    "file_in_use": "a batch that is not over reads the file; cancel it, or wait for its end",
    "adapter_busy": "another request is loading, publishing or unloading under the same name; try again after it",
    "conflict": "what was sent contradicts what is in force",
    "mix_conflict": "a mix whose adapters lose more of their answers in it than `composition.conflict_limit` allows",
    "version_conflict": "that version of the adapter was published with other contents",
    "name_owned": "the name is another signer's; an operator can transfer it",
    "name_taken": "the name is that of another package; choose one that is free",
    "downgrade": "an older version than the newest that there was; allow it by `--allow-downgrade`",
    "revocation_rollback": "the revocation list is older than the one in force",
    "revocation_number_taken": "another revocation list of this number is in force",
}
PACKAGE = {
    "adapter_rejected": "an adapter that must not be loaded, where nothing more exact is known",
    "symlink": "the directory, or a file in it, is a symbolic link",
    "unexpected_file": "a file that does not belong to an adapter, or that is not a plain file",
    "missing_file": "a file that an adapter must have is not there",
    "too_large": "a file, a tensor or their number is over its limit",
    "unreadable": "the files cannot be read, or change while they are read",
    "path_escape": "a path where a name is wanted, or one outside the directories that may be read",
    "not_an_adapter": "a directory of another kind; the message says which, and how to convert it",
    "bad_archive": "the body is not a tar archive of one adapter directory",
    "signature_missing": "there is no signature, and the policy requires one",
    "bad_signature": "the signature is malformed, or does not fit its key",
    "untrusted_key": "the signer's key is not among the trusted ones",
    "tampered": "the signature is for other files than these",
    "adapter_revoked": "the package is on the revocation list in force",
    "adapter_unconfirmed": "the revocation list was confirmed too long ago (`adapters.revocation_max_age_s`)",
    "bad_revocations": "a revocation list that is malformed or not signed by a trusted key",
    "wrong_package": "the files received are not those that were asked for",
    "changed_on_disk": "the files were changed after they had been accepted",
    "bad_metadata": "metadata.json is malformed",
    "is_composition": "a composition where only an adapter with weights of its own will do",
    "bad_composition": "a composition that cannot be computed: its strategy refuses it, or it does not fit its parts",
    "bad_gate": "a learned gate that is not for the adapters of its composition, or weighs beyond all bounds",
    "cyclic_composition": "a composition that has itself as a part; the message shows the way round",
    "missing_part": "a part of a composition is not there, or cannot be used; the message says which",
    "changed_part": "what has the name of a composition's part is not what was signed; the message has both digests",
    "name_mismatch": "the directory's name is not the one in metadata.json",
    "base_mismatch": "made for another base model",
    "layer_out_of_range": "adapts a layer that the base model does not have",
    "unknown_module": "adapts a module that the base model does not have",
    "oversize_header": "a safetensors header over its limit",
    "bad_safetensors": "a malformed safetensors file",
    "bad_dtype": "a tensor of a type that is not stored here",
    "bad_rank": "a rank that is out of range, or not the one that was announced",
    "bad_shape": "a tensor of another shape than the module needs",
    "missing_tensor": "one of a pair of LoRA matrices is missing",
    "unexpected_tensor": "a tensor that belongs to no injection point",
    "no_tensors": "nothing to load: the adapter would do nothing",
    "non_finite": "weights that are not finite, or not once they are scaled and multiplied",
    "digest_mismatch": "the weights are not those that metadata.json announces",
    "output_not_finite": "the model's output under this adapter is not finite; the row ends alone",
    "bad_peft": "adapter_config.json is malformed or contradicts the weights",
    "unsupported_peft_feature": "a PEFT feature that is not supported, so that answers would be wrong",
    "bad_key": "a key file that cannot be used",
    "bad_calibration": "a calibration of confidence that is malformed",
    "bad_measurement": "a measurement of conflict that is malformed",
}
BASE_MODEL = {
    "bad_base": "the base model's files cannot be used",
    "base_not_found": "there is no such base model",
    "unknown_family": "a model type that no model family has, neither ours nor one of an installed package",
    "unsupported_gguf": "a GGUF file with keys or tensors that are not supported, so that answers would be wrong",
    "no_device": "the device that is asked for is not there",
    "no_kernels": "the native kernels are not installed and cannot be compiled",
    "invalid_config": "settings that cannot be used; the message lists every fault",
    "invalid_data": "examples that cannot be used; the message names the lines",
    "training_stopped": "a training that was asked to stop; what was done is kept",
    "training_diverged": "a training whose loss has become infinite or NaN",
    "checkpoint_failed": "a training that cannot write its checkpoint",
    "sandbox_unavailable": "code cannot be run: no sandbox works here (`security.sandbox`); the message says why",
    "key_exists": "a key file of that name is there; keys are never overwritten",
    "server_unavailable": "the command line reaches no server",
    "missing_package": "the command needs an extra that is not installed",
    "conversation_not_found": "no conversation of that number in the log",
    "audit_log_not_found": "no audit log in that directory",
    "bad_checkpoint": "a file without a checkpoint of an audit log, or with one that the key has not signed",
    "log_unusable": "the command line's log cannot be read or written",
}


PERMISSION = {
    "insufficient_scope": "the key lacks the scope that the call needs",
    "foreign_adapter": "the adapter is public, or another tenant's, so that this key cannot change it",
    "path_outside_roots": "a load path outside the directories of `security.load_roots`",
    "foreign_host": "without API keys: a request whose Host is no loopback name",
    "foreign_origin": "a page of another origin: without API keys, or before its request (`security.cors_origins`)",
    "quota_full": "as many bytes of objects are kept for the tenant as it may have; delete some",
}
NOT_FOUND = {
    "model_not_found": "no such model or adapter; the message suggests the nearest name",
    "adapter_not_found": "no adapter of that name or version",
    "key_not_found": "no key file of that name",
    "object_not_found": "no file, batch or stored response of that id, or not any more",
    "request_not_found": "no running request of that id; it may have ended",
}
OVERLOAD = {
    "overloaded": "every queue is full, or the wait would be too long; try again after `retry-after`",
    "deadline_unreachable": "waiting for its turn would take longer than the request's deadline allows",
}
FAULT = {
    "internal_error": "a fault of the server; its log has the details",
    "bad_extension": "a part that an installed package adds cannot be used; the message names the package",
    "aborted": "the server ended the request; send it again",
    "server_error": "the server's answer is not in the form of its API",
}
UNAVAILABLE = {
    "not_ready": "the server, or a part that this request needs, is not ready",
    "replica_lost": "the replica that served the request is gone; send it again",
    "ingress_lost": "the server process that took the request is gone; send it again",
    "store_lost": "the store of adapters, or that of objects, is restarting; send the request again in a moment",
    "tracker_disabled": "the tracker is switched off (`tracker.enabled`)",
    "router_disabled": "the router is switched off (`router.enabled`)",
    "engine_stopped": "the engine has stopped and takes no more work",
    "engine_hung": "the engine makes no progress; its replica is replaced",
    "cache_full": "adapters of running requests fill the memory for adapters",
    "adapter_unavailable": "the adapter cannot be loaded now; the server tries again",
    "audit_unavailable": "the audit log cannot be written (`audit.dir`), so nothing that it has to hold is done",
    "name_unconfirmed": "no replica has verified yet who signed the name",
}
TIMEOUT = {
    "deadline_exceeded": "the request's own deadline passed",
    "timeout": "loading, publishing or unloading took too long; some replica did not finish",
}
STORAGE = {
    "storage_full": "a disk of the server is full; free some space",
    "storage_failed": "a directory of the server cannot be used",
    "tracker_unusable": "the tracker's file cannot be used (`tracker.file`); requests are answered, and not recorded",
    "tracker_in_use": "another process writes to the tracker's file; each server needs one of its own",
}


def _rows(status: int, openai_type: str, meanings: Mapping[str, str], *, is_local: bool = False) -> Iterator[ErrorCode]:
    return (ErrorCode(code, meaning, status, openai_type, is_local) for code, meaning in meanings.items())


ERROR_CODES: Mapping[str, ErrorCode] = {
    row.code: row
    for row in (
        *_rows(400, "invalid_request_error", REQUEST),
        *_rows(
            401,
            "authentication_error",
            {
                "invalid_api_key": "no API key, one that is not known, or one that does not work any more",
                "key_revoked": "the API key stopped working while the request ran",
            },
        ),
        *_rows(403, "permission_error", PERMISSION),
        *_rows(404, "not_found_error", NOT_FOUND),
        *_rows(404, "invalid_request_error", {"unknown_path": "no endpoint of that path"}),
        *_rows(405, "invalid_request_error", {"method_not_allowed": "the endpoint takes other methods"}),
        *_rows(409, "conflict_error", CONFLICT),
        *_rows(
            413,
            "invalid_request_error",
            {"body_too_large": "a body over its limit; the message names limit and setting"},
        ),
        *_rows(415, "invalid_request_error", {"unsupported_encoding": "a body that is compressed"}),
        *_rows(422, "adapter_error", PACKAGE),
        *_rows(429, "rate_limit_error", OVERLOAD),
        *_rows(500, "server_error", FAULT),
        *_rows(500, "server_error", BASE_MODEL, is_local=True),
        *_rows(503, "server_error", UNAVAILABLE),
        *_rows(504, "timeout_error", TIMEOUT),
        *_rows(507, "server_error", STORAGE),
    )
}
"""The table, by code."""
