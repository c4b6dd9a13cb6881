"""Checks a deployment before Ray starts, which takes half a minute and reports failures poorly.

`read_config` checks the file, wherever it will be used; `require_startable` checks this machine: the address, the
directories, the processors. `examine` looks at the base model and the adapters as well, for `adaptrix serve --check`.
Starts nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from adaptrix_core.config import Settings, load_settings
from adaptrix_core.config.serve_file import application_args, read_document, serve_faults
from adaptrix_core.errors import AdaptrixError, BaseModelError, ConfigError
from adaptrix_core.writable import MIB, why_not_writable
from deployments.callers.key_ring import KeyRing
from deployments.callers.reach import require_loopback, url_of

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000
STATE_BYTES = 64 * MIB
"""Bytes that a store needs for its index and a few adapters."""
AUDIT_BYTES = 16 * MIB
PROBE_S = 1.0


@dataclass(frozen=True)
class Examined:
    """A deployment that would start: its address, base model, adapters and warnings."""

    url: str
    base_model: str
    adapters: tuple[str, ...]
    warnings: tuple[str, ...]

    def in_words(self) -> str:
        """One line for people."""
        adapters = ", ".join(self.adapters) or "no adapters"
        return f"would start at {self.url}, over {self.base_model}, with {adapters}"


def read_config(path: Path, host: str | None, port: int | None) -> dict[str, Any]:
    """The Serve config with host and port replaced where given. Raises ConfigError with all faults."""
    from ray.serve.schema import ServeDeploySchema

    document = read_document(path)
    args = application_args(document)
    faults = list(serve_faults(document))
    http = document.get("http_options") or {}
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    if isinstance(http, dict):
        # Set explicitly: Ray Serve's default for a missing host is every interface.
        document["http_options"] = http = {"host": DEFAULT_HOST, "port": DEFAULT_PORT, **http, **given}
        try:
            ServeDeploySchema.model_validate(document)
        except ValidationError as error:
            faults += [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
    try:
        settings = load_settings(args)
        if not KeyRing.read(settings.security.api_keys_file).enabled and isinstance(http, dict):
            require_loopback(str(http["host"]))
    except ConfigError as error:
        faults += error.faults
    if faults:
        # Ray's schema reports an unknown key of a logging_config too, in its own words.
        raise ConfigError([fault for fault in faults if not fault.endswith(": Extra inputs are not permitted")])
    return document


def require_startable(config: Mapping[str, Any]) -> None:
    """Raise ConfigError with every fault on this machine that would keep the deployment of ``config`` from starting."""
    settings = load_settings(application_args(config))
    host, port = address_of(config)
    faults = [
        *_address_faults(host, port),
        *_directory_faults(settings),
        *_processor_faults(settings),
    ]
    if faults:
        raise ConfigError(faults)


def examine(config: Mapping[str, Any]) -> Examined:
    """Check as `require_startable`, and the base model and the adapters too. Raises ConfigError.

    Reads the adapters, so it takes seconds. An adapter that would be refused is a warning: the others are served.
    """
    settings = load_settings(application_args(config))
    faults: list[str] = []
    try:
        require_startable(config)
    except ConfigError as error:
        faults += error.faults
    faults += _base_faults(settings)
    faults += [f"the package {name!r} is not installed; pip install 'adaptrix[serve]'" for name in _missing_packages()]
    if faults:
        raise ConfigError(faults)
    names, warnings = _adapters(settings)
    return Examined(url_of(*address_of(config)), settings.base.model, names, warnings)


def address_of(config: Mapping[str, Any]) -> tuple[str, int]:
    """Host and port that the HTTP server of ``config`` listens on."""
    http = config["http_options"]
    return str(http["host"]), int(http["port"])


def _address_faults(host: str, port: int) -> Iterator[str]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        yield f"http_options.host = {host!r}: no such address ({error}); use 127.0.0.1"
        return
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            yield _unusable(error, host, port)


def _unusable(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"http_options.port = {port}: in use on {host}{_by_whom(url_of(host, port))}; choose another with --port"
    if error.errno == errno.EACCES:
        return f"http_options.port = {port}: this user may not listen below 1024; choose another with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"http_options.host = {host!r}: not an address of this machine; use 127.0.0.1"
    return f"http_options.port = {port}: cannot be listened on ({error.strerror or error})"


def _by_whom(url: str) -> str:
    try:
        answer = httpx.get(f"{url}/health", timeout=PROBE_S)
        ours = "status" in answer.json()
    except (httpx.HTTPError, ValueError):
        ours = False
    return f" by an Adaptrix server that runs already (`adaptrix status --url {url}`)" if ours else ""


def _directory_faults(settings: Settings) -> Iterator[str]:
    for name, place, needed in (
        ("adapters.state_dir", settings.adapters.state_dir, STATE_BYTES),
        ("audit.dir", settings.audit.dir, AUDIT_BYTES),
        ("observe.log_file", settings.observe.log_file and settings.observe.log_file.parent, MIB),
    ):
        fault = place and why_not_writable(place, needed)
        if fault:
            yield f"{name} = {place}: {fault}"


def _processor_faults(settings: Settings) -> Iterator[str]:
    from deployments.launch.reserved_cpus import INGRESS_CPUS, ROUTER_CPUS

    replicas = settings.replicas
    count = max(replicas.num_replicas, replicas.fewest)
    beside = INGRESS_CPUS + (ROUTER_CPUS if settings.router.enabled else 0.0)
    wanted, there = count * replicas.cpus + beside, cpus_of_this_machine()
    if wanted > there:
        yield (
            f"replicas.num_replicas = {count} at replicas.cpus = {replicas.cpus:g}: with {beside:g} for ingress and "
            f"router that is {wanted:g} CPUs, this machine has {there}; the last replica would wait for ever"
        )


def cpus_of_this_machine() -> int:
    """CPUs that the local cluster is given: two at least, since most of its processes wait most of the time."""
    return max(2, os.cpu_count() or 1)


def _base_faults(settings: Settings) -> Iterator[str]:
    from adaptrix_core.base.source import require_present

    try:
        require_present(settings.base.model)
    except BaseModelError as error:
        yield f"base.model = {settings.base.model!r}: {error.message}"


def _missing_packages() -> Iterator[str]:
    return (name for name in ("ray", "fastapi", "uvicorn") if find_spec(name) is None)


def _adapters(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from adaptrix_core.adapters import AdapterManager, TrustPolicy

    wanted = settings.adapters
    trust = TrustPolicy.of(wanted)
    manager = AdapterManager(wanted.dir, None, trust, base_match=wanted.base_match)
    names, warnings = [], []
    for metadata in manager.list_adapters():
        names.append(metadata.identity)
        try:
            report = manager.validate_adapter(metadata.identity)
            warnings += [f"{metadata.identity} would be refused: {message}" for _, message in report.faults]
        except AdaptrixError as error:
            warnings.append(f"{metadata.identity} cannot be read: {error.message}")
    if not names:
        warnings.append(f"adapters.dir = {wanted.dir}: holds no adapter; every question goes to the base model")
    return tuple(names), tuple(warnings)
