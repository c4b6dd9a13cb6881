"""Settings: what may be configured, and what is wrong with a configuration.

Knows every section, its defaults, its limits and the combinations that cannot work. Does not know where a mapping came
from (a Serve config file, the command line, a test) and starts nothing. Settings are frozen once loaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails

from adaptrix_core.errors import ConfigError

_MIB = 1024**2
_GIB = 1024**3


def _anchored(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are meant from the directory given to `load_settings`."""
    root: Path = (info.context or {}).get("root", Path.cwd())
    return (root / path.expanduser()).resolve()


def _anchored_or_url(place: Path | str, info: ValidationInfo) -> Path | str:
    """A URL stays as it is."""
    return place if "://" in str(place) else _anchored(Path(place), info)


def _anchored_if_there(source: str, info: ValidationInfo) -> str:
    """A model source is a path only if something is there; otherwise it is a hub id or a built-in name."""
    candidate = _anchored(Path(source), info)
    return str(candidate) if candidate.exists() else source


def _spelled_bytes(value: object) -> object:
    """ "2GiB" and the like become a number; anything else is left for the integer check."""
    return int(TypeAdapter(ByteSize).validate_python(value)) if isinstance(value, str) else value


SettingsPath = Annotated[Path, Field(strict=False), AfterValidator(_anchored)]
Bytes = Annotated[int, BeforeValidator(_spelled_bytes)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class BaseSettings(_Section):
    """The frozen model that every replica loads once."""

    model: Annotated[str, Field(min_length=1), AfterValidator(_anchored_if_there)] = Field(
        "smollm2-135m", description="a hub id, a directory, a .gguf file or a built-in name"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps")
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8", "int4"] = Field(
        "auto", description="auto, fp32, bf16, fp16, int8 or int4"
    )
    optimize: Literal["exactness", "latency", "throughput"] = Field(
        "exactness", description="exactness, latency or throughput: what precision auto chooses for"
    )
    lineage: str | None = Field(None, min_length=1, description="id of the model that the weights were made from")


class AdapterSettings(_Section):
    """Where adapters come from and which of them are trusted."""

    dir: Annotated[Path | str, AfterValidator(_anchored_or_url)] = Field(
        Path("adapters"), description="directory or fsspec URL (s3://…) of shipped adapters, only ever read"
    )
    poll_s: float = Field(
        5.0,
        ge=0.1,
        le=86_400.0,
        strict=False,
        description="seconds between two looks for new files in dir, 0.1 to 86400",
    )
    state_dir: SettingsPath = Field(
        Path("runs/adapter-store"), description="directory where adapters loaded at run time are kept"
    )
    trust: Literal["require", "warn", "off"] = Field("require", description="require, warn or off")
    trusted_keys_dir: SettingsPath = Field(
        Path("adapters/trusted_keys"), description="directory of public keys whose signatures are accepted"
    )
    revocation_file: SettingsPath | None = Field(None, description="file of revoked package digests, one per line")
    revocation_max_age_s: float = Field(
        300.0,
        ge=1.0,
        le=604_800.0,
        strict=False,
        description="seconds that a replica relies on the revocation list it was last told, 1 to 604800",
    )
    base_match: Literal["exact", "compatible"] = Field("compatible", description="exact or compatible")


class EngineSettings(_Section):
    """Limits of one replica's engine."""

    max_rows: int = Field(32, ge=1, le=4096, description="rows in one batch, 1 to 4096")
    max_batch_tokens: int = Field(512, ge=16, le=1_048_576, description="tokens in one step, 16 to 1048576")
    mixed_prefill_tokens: int | None = Field(
        None,
        ge=1,
        le=1_048_576,
        description="prompt tokens in a step beside decoding rows, and one more per such row, 1 to 1048576; "
        "null: 2 on a CPU, 256 on an accelerator",
    )
    block_size: int = Field(16, ge=1, le=256, description="tokens in one KV block, 1 to 256")
    kv_cache_tokens: int | None = Field(
        None, ge=16, description="tokens that the KV cache holds, at least 16; null: 16384"
    )
    cut: int | None = Field(
        None,
        ge=0,
        description="first layer of the branch; 0: all layers in one span; null: where the directory's adapters begin",
    )
    adapter_bank: Literal["half", "int8"] = Field(
        "half", description="half or int8; how adapters are kept beside packed weights"
    )
    prefix_cache: bool = Field(True, description="true or false; whether prompts take over what was computed before")
    compile: bool = Field(False, description="true or false; whether layers are compiled, in the background")
    cuda_graphs: bool | None = Field(
        None,
        description="true or false; whether decode steps are replayed as CUDA graphs; null: where the device is CUDA",
    )
    max_queue: int = Field(256, ge=1, le=1_000_000, description="rows that may wait, 1 to 1000000")
    max_wait_s: float = Field(
        30.0,
        gt=0.0,
        le=86_400.0,
        strict=False,
        description="seconds that a request may be expected to wait for its place, above 0 and at most 86400",
    )
    host_cache_bytes: Bytes = Field(
        2 * _GIB, ge=_MIB, description="adapter weights kept in host memory, such as 2GiB; at least 1MiB"
    )
    device_budget_bytes: Bytes | None = Field(
        None, ge=_MIB, description="adapter weights kept on the device; null: a tenth of its memory"
    )


class RouterSettings(_Section):
    """How model="auto" chooses an adapter."""

    enabled: bool = Field(True, description="true or false; without the router, auto means the base model")
    embedder: Annotated[str, Field(min_length=1), AfterValidator(_anchored_if_there)] = Field(
        "all-minilm-l6-v2", description="a packaged embedding model's name, a directory or a hub id"
    )
    threshold: float | None = Field(
        None, gt=0.0, lt=1.0, description="score below which the base model answers, between 0 and 1; null: calibrated"
    )
    calibration_file: SettingsPath | None = Field(None, description="JSON file written by the calibration command")


class ReplicaSettings(_Section):
    """How many replicas of the model run, and what each may use."""

    num_replicas: int = Field(
        1,
        ge=1,
        le=1024,
        description="replicas of the model, 1 to 1024; where max_replicas is set, how many there are first",
    )
    min_replicas: int | None = Field(
        None, ge=0, le=1024, description="fewest replicas when scaling, 0 to 1024; null: num_replicas"
    )
    max_replicas: int | None = Field(
        None, ge=1, le=1024, description="most replicas when scaling, 1 to 1024; null: always num_replicas"
    )
    tokens_per_replica: int = Field(
        4096, ge=1, le=1_000_000_000, description="backlog of tokens that one replica is for, 1 to 1000000000"
    )
    scale_up_delay_s: float = Field(
        5.0, ge=0.0, le=86_400.0, strict=False, description="seconds that the backlog calls for more, 0 to 86400"
    )
    scale_down_delay_s: float = Field(
        300.0, ge=0.0, le=86_400.0, strict=False, description="seconds that fewer would do, 0 to 86400"
    )
    scale_to_zero_delay_s: float = Field(
        900.0, ge=0.0, le=86_400.0, strict=False, description="seconds that none is needed, 0 to 86400"
    )
    cpus: float = Field(1.0, gt=0, le=1024, description="CPU cores reserved for each replica, above 0")
    gpus: float = Field(0.0, ge=0, le=64, description="GPUs reserved for each replica, 0 for none")
    drain_timeout_s: float = Field(
        20.0, ge=0.0, le=3600.0, description="seconds that a replica which is to go may finish its streams, 0 to 3600"
    )
    max_surge_percent: int = Field(
        0, ge=0, le=100, description="replicas started beyond num_replicas in a rolling update, 0 to 100 percent of it"
    )

    @property
    def fewest(self) -> int:
        """The least number of replicas that there may be."""
        return self.num_replicas if self.min_replicas is None or self.max_replicas is None else self.min_replicas


class SecuritySettings(_Section):
    """Who may call, what may be loaded, and how much may be sent."""

    api_keys_file: SettingsPath | None = Field(
        None, description="JSON file of hashed API keys; null: no keys, and the server listens on loopback only"
    )
    load_roots: Annotated[tuple[SettingsPath, ...], Field(strict=False)] = Field(
        (), description="directories from which adapters may be loaded at run time"
    )
    max_upload_bytes: Bytes = Field(
        256 * _MIB, ge=1024, description="largest adapter archive that may be published, such as 256MiB; at least 1KiB"
    )
    max_body_bytes: Bytes = Field(4 * _MIB, ge=1024, description="largest request body, such as 4MiB; at least 1KiB")


class ObserveSettings(_Section):
    """What the server tells about itself."""

    metrics_adapters: int = Field(
        50, ge=1, le=10_000, description="adapters with metrics of their own, 1 to 10000; the others share 'other'"
    )
    logs: Literal["text", "json"] = Field(
        "text", description="text or json; json is one object per line, and one line for every request"
    )
    log_file: SettingsPath | None = Field(None, description="file to append JSON logs to; null: the standard error")
    log_prompts: bool = Field(False, description="true or false; whether JSON logs contain prompts")
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/]",
        description="where traces go by OTLP/HTTP, such as http://127.0.0.1:4318; "
        "null: where OTEL_EXPORTER_OTLP_ENDPOINT says, nowhere without it",
    )
    trace_ratio: float | None = Field(
        None, ge=0.0, le=1.0, description="share of requests traced, 0 to 1; null: as OTEL_TRACES_SAMPLER says, or all"
    )


class Settings(_Section):
    """Everything that can be configured."""

    base: BaseSettings = Field(default_factory=BaseSettings)
    adapters: AdapterSettings = Field(default_factory=AdapterSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    router: RouterSettings = Field(default_factory=RouterSettings)
    replicas: ReplicaSettings = Field(default_factory=ReplicaSettings)
    security: SecuritySettings = Field(default_factory=SecuritySettings)
    observe: ObserveSettings = Field(default_factory=ObserveSettings)


_SECTIONS: dict[str, type[_Section]] = {
    "base": BaseSettings,
    "adapters": AdapterSettings,
    "engine": EngineSettings,
    "router": RouterSettings,
    "replicas": ReplicaSettings,
    "security": SecuritySettings,
    "observe": ObserveSettings,
}


def project_root() -> Path:
    """The directory that holds ``adaptrix_core/`` and ``serve_config.yaml``; relative paths in files start from it."""
    return Path(__file__).resolve().parent.parent


def load_settings(mapping: Mapping[str, Any], root: Path | None = None) -> Settings:
    """Validate ``mapping`` into Settings; relative paths are meant from ``root`` (default: the current directory).

    Raises ConfigError that lists every fault with its path, the value found and what is allowed.
    """
    context = {"root": (root or Path.cwd()).resolve()}
    if not isinstance(mapping, Mapping):
        raise ConfigError([f"settings are a mapping of sections ({', '.join(_SECTIONS)}), not {mapping!r}"])
    faults = [_unknown(str(key), key, _SECTIONS) for key in mapping if key not in _SECTIONS]
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


def _describe(section: str, model: type[_Section], detail: ErrorDetails) -> str:
    where = ".".join([section, *(str(part) for part in detail["loc"])])
    if not detail["loc"]:
        return f"{section} = {detail['input']!r}: a section is a mapping; its keys: {', '.join(model.model_fields)}"
    key = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        return _unknown(where, key, model.model_fields)
    message = detail["msg"].replace("Input should", "should")
    return f"{where} = {detail['input']!r}: {message}; allowed: {model.model_fields[key].description}"


def _unknown(where: str, key: object, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(key), list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
    return f"{where}: unknown key; {hint}"


def _impossible(sections: Mapping[str, Any]) -> Iterator[str]:
    """Faults that no single value shows; only sections that are valid in themselves are compared."""
    if (adapters := sections.get("adapters")) is not None:
        yield from _adapter_faults(adapters)
    if (engine := sections.get("engine")) is not None:
        yield from _engine_faults(engine)
    if (router := sections.get("router")) is not None:
        yield from _router_faults(router)
    if (security := sections.get("security")) is not None:
        keys_file = security.api_keys_file
        if keys_file is not None and not keys_file.is_file():
            yield f"security.api_keys_file = {keys_file}: no such file; write one, or set null to serve loopback only"
    if (observe := sections.get("observe")) is not None:
        yield from _observe_faults(observe)
    if (replicas := sections.get("replicas")) is not None:
        yield from _scaling_faults(replicas)
    base = sections.get("base")
    if base is not None and replicas is not None:
        if base.device.startswith("cuda") and replicas.gpus == 0:
            yield f"replicas.gpus = 0 with base.device = {base.device!r}: give each replica a share of a GPU, such as 1"
        if base.device in ("cpu", "mps") and replicas.gpus > 0:
            yield f"replicas.gpus = {replicas.gpus} with base.device = {base.device!r}: set gpus 0, or device cuda"


def _adapter_faults(adapters: AdapterSettings) -> Iterator[str]:
    if isinstance(adapters.dir, Path) and not adapters.dir.is_dir():
        yield f"adapters.dir = {adapters.dir}: no such directory; make it (it may be empty) or name another"
    if adapters.state_dir.exists() and not adapters.state_dir.is_dir():
        yield f"adapters.state_dir = {adapters.state_dir}: not a directory; name another"
    if adapters.state_dir == adapters.dir:
        yield f"adapters.state_dir = {adapters.state_dir}: same as adapters.dir; shipped adapters are only ever read"
    if adapters.trust == "require" and not adapters.trusted_keys_dir.is_dir():
        yield (
            f"adapters.trusted_keys_dir = {adapters.trusted_keys_dir}: no such directory, and adapters.trust is "
            "'require'; name the directory of public keys, or set trust to warn or off"
        )
    if adapters.revocation_file is not None and not adapters.revocation_file.is_file():
        yield f"adapters.revocation_file = {adapters.revocation_file}: no such file; write it (it may be empty)"


def _engine_faults(engine: EngineSettings) -> Iterator[str]:
    if engine.kv_cache_tokens is not None and engine.kv_cache_tokens < engine.block_size:
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
        yield "observe.logs = 'text': observe.log_file and observe.log_prompts are for 'json'; set that, or not these"
    if observe.log_file is not None and not observe.log_file.parent.is_dir():
        yield f"observe.log_file = {observe.log_file}: its directory does not exist; make it or name another"
    if observe.otlp_endpoint is not None and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
        yield (
            f"observe.otlp_endpoint = {observe.otlp_endpoint!r}: the exporter is not installed; "
            "pip install 'adaptrix[observe]', or set null"
        )


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
