"""The file that describes a deployment, in Ray Serve's own schema: read strictly, without Ray.

Ray Serve ignores keys that it does not know, so ``http_options: {prot: 9000}`` would silently be port 8000. Here an
unknown key anywhere is a fault, as is a key given twice. Knows the keys; values are checked by Ray's schema, and those
of ``args`` by `loading.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adaptrix_core.errors import ConfigError
from adaptrix_core.suggestions import unknown_key

Keys = Mapping[str, "Keys | None"]
"""By key, the keys of the mapping (or of each mapping in the list) under it; None: anything."""


def _any(names: str) -> dict[str, Keys | None]:
    """Keys that may hold anything."""
    return dict.fromkeys(names.split())


_LOGGING = _any("encoding log_level logs_dir enable_access_log additional_log_standard_attrs")
_ACTOR = _any("runtime_env num_cpus num_gpus memory resources accelerator_type label_selector fallback_strategy")
_DEPLOYMENT: Keys = {
    **_any(
        "name num_replicas max_ongoing_requests max_queued_requests user_config autoscaling_config "
        "graceful_shutdown_wait_loop_s graceful_shutdown_timeout_s health_check_period_s health_check_timeout_s "
        "placement_group_bundles placement_group_strategy placement_group_bundle_label_selector "
        "max_replicas_per_node request_router_config gang_scheduling_config deployment_actors "
        "rolling_update_percentage max_surge_percent"
    ),
    "backpressure_config": _any("status_code retry_after_s"),
    "ray_actor_options": _ACTOR,
    "logging_config": _LOGGING,
}
_APPLICATION: Keys = {
    **_any("name route_prefix import_path runtime_env host port autoscaling_policy args external_scaler_enabled"),
    "deployments": _DEPLOYMENT,
    "logging_config": _LOGGING,
}
SERVE_KEYS: Keys = {
    **_any("proxy_location target_capacity"),
    "http_options": _any(
        "host port root_path request_timeout_s keep_alive_timeout_s ssl_keyfile ssl_certfile ssl_keyfile_password "
        "ssl_ca_certs"
    ),
    "grpc_options": _any("port grpc_servicer_functions request_timeout_s enable_reflection"),
    "controller_options": _any("runtime_env"),
    "logging_config": _LOGGING,
    "tracing_config": _any("enabled exporter_import_path sampling_ratio"),
    "applications": _APPLICATION,
}


def read_document(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError: unreadable, not YAML, not a mapping, a key given twice."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError([f"{path}: not YAML: {error}"]) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError([f"{path}: holds {type(document).__name__}; settings are a mapping of sections"])
    return document


def is_serve_file(document: Mapping[str, Any]) -> bool:
    """Whether this is Ray Serve's schema; otherwise it is the settings alone."""
    return bool(document.keys() & SERVE_KEYS.keys())


def application_args(document: Mapping[str, Any]) -> Any:
    """The settings of the one application in a Serve file, unchecked. Raises ConfigError where there is not one."""
    applications = document.get("applications")
    if not isinstance(applications, list) or len(applications) != 1 or not isinstance(applications[0], dict):
        raise ConfigError(["applications must hold exactly one application"])
    args = applications[0].get("args")
    return {} if args is None else args


def serve_faults(document: Mapping[str, Any]) -> Iterator[str]:
    """Every unknown key outside ``args``, and every part that should be a mapping and is not."""
    yield from _faults(document, SERVE_KEYS, "")


def _faults(value: Any, keys: Keys, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, keys, f"{where}.{index}")
    elif not isinstance(value, Mapping):
        if value is not None:
            yield f"{where} = {value!r}: is a mapping; its keys: {', '.join(keys)}"
    else:
        for key, content in value.items():
            place = f"{where}.{key}".lstrip(".")
            if key not in keys:
                yield unknown_key(place, key, keys)
            elif (inner := keys[key]) is not None:
                yield from _faults(content, inner, place)


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, but refusing two equal keys instead of taking the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)
