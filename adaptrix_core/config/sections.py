"""The sections of the settings: every key with its default, its limits and its description for users.

Knows no combinations of values and no files' contents; `loading.py` puts the sections together and checks them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from adaptrix_core.config.section import Bytes, Section, SettingsPath, anchored_if_there, anchored_or_url
from adaptrix_core.places import default_state_dir, default_trusted_keys, shipped_adapters

_MIB = 1024**2
_GIB = 1024**3


KV_CACHE_TOKENS = 16384


def _default_kv_cache(value: object) -> object:
    """Replace null by the default."""
    return KV_CACHE_TOKENS if value is None else value


class BaseSettings(Section):
    """The frozen model that every replica loads once."""

    model: Annotated[str, Field(min_length=1), AfterValidator(anchored_if_there)] = Field(
        "smollm2-135m", description="a hub id, a directory, a .gguf file or a built-in name"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps")
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8", "int4"] = Field(
        "auto", description="auto, fp32, bf16, fp16, int8 or int4"
    )
    optimize: Literal["auto", "exactness", "latency", "throughput"] = Field(
        "auto", description="auto, exactness, latency or throughput: what precision auto chooses for"
    )
    lineage: str | None = Field(
        None,
        min_length=1,
        description="id of the model that the weights were made from; null: as the weights record it",
    )


class AdapterSettings(Section):
    """Sources of adapters, and trust in them."""

    dir: Annotated[Path | str, AfterValidator(anchored_or_url)] = Field(
        default_factory=shipped_adapters, description="directory or fsspec URL (s3://…) of adapters, only ever read"
    )
    poll_s: float = Field(
        5.0,
        ge=0.1,
        le=86_400.0,
        strict=False,
        description="seconds between two scans of dir for changed files, 0.1 to 86400",
    )
    state_dir: SettingsPath = Field(
        default_factory=default_state_dir, description="directory where adapters loaded at run time are kept"
    )
    trust: Literal["require", "warn", "off"] = Field(
        "require", description="require, warn or off: what becomes of an adapter without the signature of a trusted key"
    )
    trusted_keys_dir: SettingsPath = Field(
        default_factory=default_trusted_keys,
        description="directory of public keys whose signatures are accepted; by default the user's, and the project's "
        "for the adapters that it ships",
    )
    revocation_max_age_s: float = Field(
        300.0,
        ge=1.0,
        le=604_800.0,
        strict=False,
        description="seconds that a replica serves adapters after the revocation list was last confirmed, 1 to 604800",
    )
    base_match: Literal["exact", "compatible"] = Field(
        "compatible",
        description="exact or compatible: adapters for these weights only, or also for other quantisations of them",
    )


class ObjectSettings(Section):
    """Objects of tenants, which are kept in adapters.state_dir: files, batches and stored responses."""

    max_object_bytes: Bytes = Field(
        100 * _MIB, ge=1024, description="largest object, such as a file, in bytes, such as 100MiB; at least 1KiB"
    )
    max_tenant_bytes: Bytes = Field(
        _GIB, ge=1024, description="bytes of all objects of one tenant, such as 1GiB; at least 1KiB"
    )
    max_bytes: Bytes = Field(8 * _GIB, ge=1024, description="bytes of all objects, such as 8GiB; at least 1KiB")
    files_ttl_s: float = Field(
        2_592_000.0,
        ge=3600.0,
        le=315_360_000.0,
        strict=False,
        description="seconds for which files are kept, unless they are deleted or ask for less, 3600 to 315360000",
    )
    response_ttl_s: float = Field(
        2_592_000.0, gt=0, le=31_536_000.0, strict=False, description="seconds for which a response is stored, 30 days"
    )
    conversation_ttl_s: float = Field(
        2_592_000.0,
        gt=0,
        le=315_360_000.0,
        strict=False,
        description="seconds for which a conversation is kept after its last change, 30 days",
    )


class BatchSettings(Section):
    """Batches of requests, which are answered behind all others."""

    rows_at_once: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="rows of batches that are generated at a time, 1 to 1000000; null: as many as the replicas compute "
        "together",
    )


class EngineSettings(Section):
    """Limits of one replica's engine."""

    max_rows: int = Field(
        32,
        ge=1,
        le=4096,
        description="rows computed in one step at most (one for each choice of each request), 1 to 4096",
    )
    max_batch_tokens: int = Field(
        512, ge=16, le=1_048_576, description="tokens computed in one step at most, 16 to 1048576"
    )
    mixed_prefill_tokens: int | None = Field(
        None,
        ge=1,
        le=1_048_576,
        description="prompt tokens at most in a step in which rows decode, and one more per such row, 1 to 1048576; "
        "null: 2 on a CPU, 256 on an accelerator",
    )
    short_prompt_tokens: int = Field(
        64,
        ge=1,
        le=1_048_576,
        description="longest prompt, in tokens, that is computed whole in the step it joins, 1 to 1048576",
    )
    block_size: int = Field(16, ge=1, le=256, description="tokens in one KV block, 1 to 256")
    kv_cache_tokens: Annotated[int, BeforeValidator(_default_kv_cache)] = Field(
        KV_CACHE_TOKENS, ge=16, description="tokens that the KV cache holds, at least 16; null: 16384"
    )
    cut: int | None = Field(
        None,
        ge=0,
        description="first layer that adapters may change, so that those below are computed once for all of them; "
        "0: layers are not divided; null: the lowest one that an adapter in adapters.dir changes",
    )
    adapter_bank: Literal["half", "int8"] = Field(
        "half", description="half or int8: precision of adapter weights beside a packed base model"
    )
    prefix_cache: bool = Field(
        True, description="true or false: whether prompts reuse the KV cache of earlier ones that begin alike"
    )
    compile: bool = Field(
        False, description="true or false: whether the model's layers are compiled, in the background"
    )
    cuda_graphs: bool | None = Field(
        None,
        description="true or false: whether decode steps are replayed as CUDA graphs; null: where the device is CUDA",
    )
    max_queue: int = Field(256, ge=1, le=1_000_000, description="rows that may wait for a place at most, 1 to 1000000")
    max_wait_s: float = Field(
        30.0,
        gt=0.0,
        le=86_400.0,
        strict=False,
        description="longest expected wait of a request for its place, in seconds, above 0 and at most 86400",
    )
    host_cache_bytes: Bytes = Field(
        2 * _GIB, ge=_MIB, description="host memory for adapter weights, in bytes, such as 2GiB; at least 1MiB"
    )
    device_budget_bytes: Bytes | None = Field(
        None,
        ge=_MIB,
        description="device memory for adapter weights, in bytes, such as 1GiB; at least 1MiB; null: a tenth of it",
    )


class RouterSettings(Section):
    """The choice of adapters for model="auto"."""

    enabled: bool = Field(
        True, description="true or false: whether auto chooses an adapter; without the router it means the base model"
    )
    embedder: Annotated[str, Field(min_length=1), AfterValidator(anchored_if_there)] | None = Field(
        "all-minilm-l6-v2",
        description="a packaged embedding model's name, a directory or a hub id; null: none, so that words decide",
    )
    threshold: float | None = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="score below which the base model answers, between 0 and 1; null: the calibrated one",
    )
    calibration_file: SettingsPath | None = Field(
        None,
        description="JSON file of thresholds, by `python -m benchmarks.routing calibrate`; null: the built-in ones",
    )
    evidence_file: SettingsPath | None = Field(
        None, description="JSON file of labelled messages and measured tasks for the router; null: none"
    )
    signals: Annotated[dict[str, Annotated[float, Field(ge=0, le=100)]], Field(min_length=1)] | None = Field(
        None,
        description="weights of the signals that vote on who answers, by name, each 0 to 100; null: those that the "
        "thresholds were chosen with",
    )
    trunk: bool = Field(
        True,
        description="true or false: whether the base model's own reading of a question, taken where its trunk ends, "
        "decides who answers: alone where it is clear, else as a vote",
    )
    divide: bool = Field(
        False,
        description="true or false: whether auto divides a question that asks for several things in a row, each step "
        "answered by whom the router finds for it; a request says otherwise by `adaptrix.plan`",
    )
    keywords: dict[str, Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=256)]] = (
        Field(
            default_factory=dict,
            description="words and phrases that speak for an adapter, by its name, in place of those in its metadata; "
            "@math, @code and @reasoning stand for our lists",
        )
    )
    for_tools: str | None = Field(
        "tool_use",
        min_length=1,
        description="adapter that answers auto where functions may be called; where it is not loaded, or null, auto "
        "goes by the question as ever",
    )


class ReplicaSettings(Section):
    """Number of model replicas, and the resources of each."""

    num_replicas: int = Field(
        1,
        ge=1,
        le=1024,
        description="replicas of the model, 1 to 1024; the first number of them where max_replicas is set",
    )
    min_replicas: int | None = Field(
        None, ge=0, le=1024, description="fewest replicas when scaling, 0 to 1024; null: num_replicas"
    )
    max_replicas: int | None = Field(
        None, ge=1, le=1024, description="most replicas when scaling, 1 to 1024; null: always num_replicas"
    )
    tokens_per_replica: int = Field(
        4096,
        ge=1,
        le=1_000_000_000,
        description="target backlog of each replica, in tokens, 1 to 1000000000",
    )
    scale_up_delay_s: float = Field(
        5.0,
        ge=0.0,
        le=86_400.0,
        strict=False,
        description="seconds for which the backlog must call for more replicas before they start, 0 to 86400",
    )
    scale_down_delay_s: float = Field(
        300.0,
        ge=0.0,
        le=86_400.0,
        strict=False,
        description="seconds for which fewer replicas must be enough before others stop, 0 to 86400",
    )
    scale_to_zero_delay_s: float = Field(
        900.0,
        ge=0.0,
        le=86_400.0,
        strict=False,
        description="seconds without any request before the last replica stops, 0 to 86400",
    )
    cpus: float = Field(1.0, gt=0, le=1024, description="CPU cores reserved for each replica, above 0 and at most 1024")
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="CPU threads that each replica computes with, 1 to 1024; null: cpus, or its share of the machine",
    )
    gpus: float = Field(0.0, ge=0, le=64, description="GPUs reserved for each replica, 0 (none) to 64")
    messages_per_s: float = Field(
        64.0,
        gt=0.0,
        le=1_000_000.0,
        strict=False,
        description="messages of tokens that a replica sends per second, all of its streams together, above 0",
    )
    drain_timeout_s: float = Field(
        20.0,
        ge=0.0,
        le=3600.0,
        description="seconds in which a replica that is being removed may finish its streams, 0 to 3600",
    )
    max_surge_percent: int = Field(
        0,
        ge=0,
        le=100,
        description="replicas that a rolling update starts before old ones stop, in percent of num_replicas, 0 to 100",
    )

    @property
    def fewest(self) -> int:
        """The least number of replicas that there may be."""
        return self.num_replicas if self.min_replicas is None or self.max_replicas is None else self.min_replicas


ORIGIN_PATTERN = r"^(\*|[a-z][a-z0-9+.-]*://[a-z0-9._:\[\]-]+)$"
"""The origin of a web page as browsers send it, in small letters and without a path; or ``*``."""


class SecuritySettings(Section):
    """Callers, permitted sources of adapters, sizes of requests, and where foreign code runs."""

    api_keys_file: SettingsPath | None = Field(
        None, description="JSON file of hashed API keys; null: no keys, and the server listens on loopback only"
    )
    load_roots: Annotated[tuple[SettingsPath, ...], Field(strict=False)] = Field(
        (), description="directories from which adapters may be loaded at run time"
    )
    cors_origins: Annotated[tuple[Annotated[str, Field(pattern=ORIGIN_PATTERN)], ...], Field(strict=False)] = Field(
        (),
        description="origins of web pages whose scripts may call, such as https://chat.example.org, or * for all that "
        "have a key",
    )
    max_upload_bytes: Bytes = Field(
        256 * _MIB, ge=1024, description="largest adapter archive that may be published, such as 256MiB; at least 1KiB"
    )
    max_body_bytes: Bytes = Field(4 * _MIB, ge=1024, description="largest request body, such as 4MiB; at least 1KiB")
    max_text_characters: int = Field(
        524_288,
        ge=1024,
        description="characters of text in one request, all messages or prompts together, at least 1024",
    )
    sandbox: Literal["bubblewrap", "process"] = Field(
        "bubblewrap",
        description="bubblewrap or process: what code that a model wrote is run in, when answers are marked; process "
        "has limits, but no walls: the code can read what its user can",
    )


class ExtensionSettings(Section):
    """Parts that other installed packages add, where they are not asked for by a request."""

    endpoint_groups: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="names of the groups of endpoints that are added to the HTTP API"
    )


class ObserveSettings(Section):
    """Metrics, logs and traces."""

    metrics_adapters: int = Field(
        50, ge=1, le=10_000, description="adapters with metrics of their own, 1 to 10000; the others share 'other'"
    )
    logs: Literal["text", "json", "ecs"] = Field(
        "text",
        description="text, json or ecs: json is one object per line, and one line for every request; ecs the same "
        "under the names of the Elastic Common Schema",
    )
    log_file: SettingsPath | None = Field(None, description="file to append JSON logs to; null: the standard error")
    log_prompts: bool = Field(False, description="true or false: whether JSON logs contain prompts")
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/]",
        description="address that traces are sent to by OTLP/HTTP, such as http://127.0.0.1:4318; "
        "null: that of OTEL_EXPORTER_OTLP_ENDPOINT, or no traces without it",
    )
    trace_ratio: float | None = Field(
        None, ge=0.0, le=1.0, description="share of requests traced, 0 to 1; null: as OTEL_TRACES_SAMPLER says, or all"
    )
