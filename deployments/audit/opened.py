"""The writer of the log that the settings describe."""

from __future__ import annotations

from adaptrix_core.config.audit_section import AuditSettings
from adaptrix_core.errors import AuditUnavailable, ConfigError
from adaptrix_core.security.audit.log import AuditLog
from adaptrix_core.security.audit.retention import Retention
from adaptrix_core.security.audit.shipping import Shipping
from adaptrix_core.security.audit.signing_key import key_at
from adaptrix_core.security.audit.writer import AuditWriter


def opened_writer(settings: AuditSettings) -> AuditWriter:
    """A writer, whose files are opened with the first event. Raises AuditUnavailable without a key to sign with."""
    if settings.dir is None:
        raise AuditUnavailable("no audit log is kept: audit.dir is null")
    try:
        key = key_at(settings.key_file)
    except (ConfigError, OSError) as error:
        raise AuditUnavailable(f"the key that signs the audit log cannot be used (audit.key_file): {error}") from error
    shipping = Shipping(settings.ship_dir, settings.ship_to_log)
    log = AuditLog(settings.dir, key, settings.segment_bytes, Retention(settings.keep_days), shipping)
    return AuditWriter(log, settings.checkpoint_s)
