"""Loads settings and reports all faults of a configuration at once.

Knows the combinations of values that cannot work. Does not know the source of a mapping (a Serve config file, the
command line, a test) and starts nothing. Settings are frozen once loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from adaptrix_core.config.audit_section import AuditSettings
from adaptrix_core.config.composition_section import CompositionSettings
from adaptrix_core.config.confidence_section import ConfidenceSettings
from adaptrix_core.config.context_section import ContextSettings
from adaptrix_core.config.section import Section
from adaptrix_core.config.sections import (
    AdapterSettings,
    BaseSettings,
    BatchSettings,
    EngineSettings,
    ExtensionSettings,
    ObjectSettings,
    ObserveSettings,
    ReplicaSettings,
    RouterSettings,
    SecuritySettings,
)
from adaptrix_core.config.tracker_section import TrackerSettings
from adaptrix_core.errors import ConfigError
from adaptrix_core.extension_point import ExtensionPoint
from adaptrix_core.extensions import ENDPOINT_GROUPS, ROUTER_SIGNALS
from adaptrix_core.places import default_trusted_keys, project_root
from adaptrix_core.suggestions import did_you_mean, unknown_key


class Settings(Section):
    """All settings."""

    base: BaseSettings = Field(default_factory=BaseSettings)
    adapters: AdapterSettings = Field(default_factory=AdapterSettings)
    objects: ObjectSettings = Field(default_factory=ObjectSettings)
    batches: BatchSettings = Field(default_factory=BatchSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    router: RouterSettings = Field(default_factory=RouterSettings)
    composition: CompositionSettings = Field(default_factory=CompositionSettings)
    context: ContextSettings = Field(default_factory=ContextSettings)
    confidence: ConfidenceSettings = Field(default_factory=ConfidenceSettings)
    replicas: ReplicaSettings = Field(default_factory=ReplicaSettings)
    security: SecuritySettings = Field(default_factory=SecuritySettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    observe: ObserveSettings = Field(default_factory=ObserveSettings)
    tracker: TrackerSettings = Field(default_factory=TrackerSettings)
    extensions: ExtensionSettings = Field(default_factory=ExtensionSettings)


_SECTIONS: dict[str, type[Section]] = {
    "base": BaseSettings,
    "adapters": AdapterSettings,
    "objects": ObjectSettings,
    "batches": BatchSettings,
    "engine": EngineSettings,
    "router": RouterSettings,
    "composition": CompositionSettings,
    "context": ContextSettings,
    "confidence": ConfidenceSettings,
    "replicas": ReplicaSettings,
    "security": SecuritySettings,
    "audit": AuditSettings,
    "observe": ObserveSettings,
    "tracker": TrackerSettings,
    "extensions": ExtensionSettings,
}


_REMOVED = {
    "adapters.revocation_file": "there is one revocation list, which is signed. Take this key out, and put the file's "
    "lines on the list before the next start: adaptrix revoke --local --config SETTINGS --file FILE"
}
"""What to do instead, by key that earlier versions had and that must not be overlooked."""


def load_settings(mapping: Mapping[str, Any], root: Path | None = None) -> Settings:
    """Validate ``mapping`` into Settings; relative paths start from ``root`` (default: the project's).

    Raises ConfigError that lists every fault with its path, the value found and what is allowed.
    """
    context = {"root": (root or project_root()).resolve()}
    if not isinstance(mapping, Mapping):
        raise ConfigError([f"settings are a mapping of sections ({', '.join(_SECTIONS)}), not {mapping!r}"])
    faults = [unknown_key(str(key), key, _SECTIONS) for key in mapping if key not in _SECTIONS]
    sections: dict[str, Any] = {}
    for name, model in _SECTIONS.items():
        content = mapping.get(name)
        try:
            sections[name] = model.model_validate({} if content is None else content, context=context)
        except ValidationError as error:
            faults += [_describe(name, model, detail) for detail in error.errors()]
    faults += _impossible(sections)
    if faults:
        raise ConfigError(faults)
    return Settings(**sections)


def _describe(section: str, model: type[Section], detail: ErrorDetails) -> str:
    where = ".".join([section, *(str(part) for part in detail["loc"])])
    if not detail["loc"]:
        return f"{section} = {detail['input']!r}: a section is a mapping; its keys: {', '.join(model.model_fields)}"
    key = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        return f"{where}: {_REMOVED[where]}" if where in _REMOVED else unknown_key(where, key, model.model_fields)
    message = detail["msg"].replace("Input should", "should")
    return f"{where} = {detail['input']!r}: {message}; allowed: {model.model_fields[key].description}"


def _impossible(sections: Mapping[str, Any]) -> Iterator[str]:
    """Faults of combinations of values; only sections that are valid by themselves are compared."""
    if (adapters := sections.get("adapters")) is not None:
        yield from _adapter_faults(adapters)
    if (objects := sections.get("objects")) is not None:
        yield from _object_faults(objects)
    if (engine := sections.get("engine")) is not None:
        yield from _engine_faults(engine)
    if (router := sections.get("router")) is not None:
        yield from _router_faults(router)
        yield from _unknown_parts("router.signals", router.signals or (), ROUTER_SIGNALS)
    if (security := sections.get("security")) is not None:
        keys_file = security.api_keys_file
        if keys_file is not None and not keys_file.is_file():
            yield f"security.api_keys_file = {keys_file}: no such file; write one, or set null to serve loopback only"
    if (observe := sections.get("observe")) is not None:
        yield from _observe_faults(observe)
    if (tracker := sections.get("tracker")) is not None:
        yield from _tracker_faults(tracker)
    yield from _audit_faults(sections.get("audit"), observe)
    if (extensions := sections.get("extensions")) is not None:
        yield from _unknown_parts("extensions.endpoint_groups", extensions.endpoint_groups, ENDPOINT_GROUPS)
    if (replicas := sections.get("replicas")) is not None:
        yield from _scaling_faults(replicas)
    base = sections.get("base")
    if base is not None and replicas is not None:
        yield from _device_faults(base, replicas)


def _device_faults(base: BaseSettings, replicas: ReplicaSettings) -> Iterator[str]:
    if base.device.startswith("cuda") and replicas.gpus == 0:
        yield f"replicas.gpus = 0 with base.device = {base.device!r}: give each replica a share of a GPU, such as 1"
    if base.device in ("cpu", "mps") and replicas.gpus > 0:
        yield f"replicas.gpus = {replicas.gpus} with base.device = {base.device!r}: set gpus 0, or device cuda"


def _unknown_parts(key: str, names: Iterable[str], point: ExtensionPoint[Any]) -> Iterator[str]:
    for name in names:
        if name not in (known := point.names()):
            yield f"{key} names {name!r}: no such {point.noun} is installed; {did_you_mean(name, known, 'there are')}"


def _adapter_faults(adapters: AdapterSettings) -> Iterator[str]:
    if isinstance(adapters.dir, Path) and not adapters.dir.is_dir():
        yield f"adapters.dir = {adapters.dir}: no such directory; make it (it may be empty) or name another"
    if adapters.state_dir.exists() and not adapters.state_dir.is_dir():
        yield f"adapters.state_dir = {adapters.state_dir}: not a directory; name another"
    if adapters.state_dir == adapters.dir:
        yield f"adapters.state_dir = {adapters.state_dir}: same as adapters.dir; shipped adapters are only ever read"
    keys_are_named = adapters.trusted_keys_dir != default_trusted_keys().resolve()
    if adapters.trust == "require" and keys_are_named and not adapters.trusted_keys_dir.is_dir():
        yield (
            f"adapters.trusted_keys_dir = {adapters.trusted_keys_dir}: no such directory, and adapters.trust is "
            "'require'; name the directory of public keys, or set trust to warn or off"
        )


def _object_faults(objects: ObjectSettings) -> Iterator[str]:
    for smaller, larger in (("max_object_bytes", "max_tenant_bytes"), ("max_tenant_bytes", "max_bytes")):
        if (most := getattr(objects, larger)) < (size := getattr(objects, smaller)):
            yield f"objects.{larger} = {most}: less than objects.{smaller} = {size}; allow more, or lower that"


def _engine_faults(engine: EngineSettings) -> Iterator[str]:
    if engine.kv_cache_tokens < engine.block_size:
        yield (
            f"engine.kv_cache_tokens = {engine.kv_cache_tokens}: less than one block "
            f"(engine.block_size = {engine.block_size})"
        )
    if engine.max_batch_tokens < engine.max_rows:
        yield (
            f"engine.max_batch_tokens = {engine.max_batch_tokens}: less than engine.max_rows = {engine.max_rows}; "
            "every row needs at least one token of a step"
        )


def _scaling_faults(replicas: ReplicaSettings) -> Iterator[str]:
    number, least, most = replicas.num_replicas, replicas.min_replicas, replicas.max_replicas
    if most is None and least is not None:
        yield f"replicas.min_replicas = {least}: replicas.max_replicas is null: set it too, or neither"
    if most is not None and number > most:
        yield f"replicas.num_replicas = {number}: above replicas.max_replicas = {most}; start with fewer or allow more"
    if most is not None and least is not None and number < least:
        yield f"replicas.num_replicas = {number}: below replicas.min_replicas = {least}; start with more or allow fewer"


def _observe_faults(observe: ObserveSettings) -> Iterator[str]:
    if observe.logs == "text" and (observe.log_prompts or observe.log_file is not None):
        yield "observe.logs = 'text': observe.log_file and observe.log_prompts are for 'json' or 'ecs'; set one of them"
    if observe.log_file is not None and not observe.log_file.parent.is_dir():
        yield f"observe.log_file = {observe.log_file}: its directory does not exist; make it or name another"
    if observe.otlp_endpoint is not None and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
        yield (
            f"observe.otlp_endpoint = {observe.otlp_endpoint!r}: the exporter is not installed; "
            "pip install 'adaptrix[observe]', or set null"
        )


def _tracker_faults(tracker: TrackerSettings) -> Iterator[str]:
    if tracker.sums_days < tracker.requests_days:
        yield (
            f"tracker.sums_days = {tracker.sums_days:g}: less than tracker.requests_days = {tracker.requests_days:g}; "
            "keep sums as long as what they are of"
        )
    if tracker.prices_file is not None and not tracker.prices_file.is_file():
        yield f"tracker.prices_file = {tracker.prices_file}: no such file; write one, or set null for no costs"


def _audit_faults(audit: AuditSettings | None, observe: ObserveSettings | None) -> Iterator[str]:
    if audit is None:
        return
    if audit.dir is not None and audit.dir == audit.ship_dir:
        yield f"audit.ship_dir = {audit.ship_dir}: same as audit.dir; name a place that its disk cannot change"
    if audit.ship_to_log and observe is not None and observe.logs == "text":
        yield "audit.ship_to_log = true: observe.logs is 'text', which has no room for checkpoints; set json or ecs"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # one of its parents
        return False


def _router_faults(router: RouterSettings) -> Iterator[str]:
    if router.threshold is not None and router.calibration_file is not None:
        yield f"router.threshold = {router.threshold}: router.calibration_file is set too; keep one of the two"
    if router.calibration_file is not None and not router.calibration_file.is_file():
        yield f"router.calibration_file = {router.calibration_file}: no such file; write it by calibrating the router"
