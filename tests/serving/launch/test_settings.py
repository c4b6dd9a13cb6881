"""Settings: every fault at once, each naming where it is, what was found and what is allowed."""

from __future__ import annotations

import inspect
import pickle
from importlib import import_module
from pathlib import Path

import pytest
import ray
import yaml
from ray._private import log_monitor, ray_constants
from ray.dashboard.modules.reporter import reporter_consts
from ray.serve import Application
from ray.serve._private import constants
from ray.serve.schema import ServeDeploySchema

from adaptrix_core.cli.settings_file import read_settings
from adaptrix_core.config import load_settings
from adaptrix_core.errors import ConfigError
from adaptrix_core.places import project_root
from deployments.launch.environment import LOCAL_ENVIRONMENT, SERVE_ENVIRONMENT
from deployments.launch.local import DEFAULT_CONFIG
from deployments.launch.preflight import read_config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "adapters" / "trusted_keys").mkdir(parents=True)
    return tmp_path


def faults_of(mapping: object, root: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(mapping, root=root)  # type: ignore[arg-type]
    return caught.value.message


def test_defaults_are_valid_and_relative_paths_are_anchored_at_the_root(root: Path) -> None:
    assert load_settings({"adapters": {"dir": "adapters"}}, root=root).adapters.dir == root / "adapters"
    settings = load_settings({}, root=root)
    assert settings.replicas.gpus == 0
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_all_faults_are_reported_at_once(root: Path) -> None:
    message = faults_of(
        {
            "basee": {},
            "base": {"device": "gpu", "modle": "x"},
            "adapters": {"trust": "maybe"},
            "engine": {"max_rows": 0, "max_queue": "8", "block_size": True, "host_cache_bytes": "lots"},
            "router": {"threshold": 3},
            "replicas": 3,
            "security": {"load_roots": "adapters", "api_keys_file": "keys.json"},
        },
        root,
    )
    assert message.startswith("11 faults in the settings:")
    for expected in (
        "basee: unknown key; did you mean base?",
        "base.modle: unknown key; did you mean model?",
        "base.device = 'gpu'",
        "adapters.trust = 'maybe': should be 'require', 'warn' or 'off'",
        "engine.max_rows = 0: should be greater than or equal to 1; allowed: rows computed in one step at most ",
        "engine.max_queue = '8'",
        "engine.block_size = True",
        "engine.host_cache_bytes = 'lots'",
        "router.threshold = 3",
        "replicas = 3: a section is a mapping",
        "security.load_roots = 'adapters'",
    ):
        assert expected in message, message


@pytest.mark.parametrize(
    ("section", "values", "expected"),
    [
        ("replicas", {"gpus": 1}, None),
        ("security", {"api_keys_file": "none.json"}, "security.api_keys_file"),
        ("adapters", {"dir": "nowhere"}, "adapters.dir"),
        ("adapters", {"trusted_keys_dir": "nowhere"}, "adapters.trusted_keys_dir"),
        ("adapters", {"trusted_keys_dir": "nowhere", "trust": "off"}, None),
        ("adapters", {"dir": "adapters", "state_dir": "adapters"}, "adapters.state_dir"),
        ("engine", {"max_rows": 64, "max_batch_tokens": 32}, "engine.max_batch_tokens"),
        ("engine", {"kv_cache_tokens": 64, "block_size": 128}, "engine.kv_cache_tokens"),
        ("engine", {"cut": -1}, "engine.cut = -1: should be greater than or equal to 0"),
        ("engine", {"cut": 0}, None),
        ("router", {"threshold": 0.5, "calibration_file": "c.json"}, "router.threshold"),
        ("observe", {"log_prompts": True}, "observe.logs = 'text'"),
        ("observe", {"logs": "json", "log_prompts": True}, None),
        ("audit", {"dir": "same", "ship_dir": "same"}, "same as audit.dir"),
        ("audit", {"ship_to_log": True}, "observe.logs is 'text'"),
        ("observe", {"logs": "json", "log_file": "nowhere/log.jsonl"}, "its directory does not exist"),
        ("observe", {"otlp_endpoint": "localhost:4317"}, "observe.otlp_endpoint = 'localhost:4317'"),
        ("observe", {"trace_ratio": 2.0}, "observe.trace_ratio = 2.0"),
        ("observe", {"metrics_adapters": 0}, "observe.metrics_adapters = 0"),
    ],
)
def test_combinations_that_cannot_work_are_named(
    section: str, values: dict[str, object], expected: str | None, root: Path
) -> None:
    if expected is None:
        load_settings({section: values}, root=root)
    else:
        assert expected in faults_of({section: values}, root)


def test_device_and_gpus_must_agree(root: Path) -> None:
    assert "replicas.gpus = 0 with base.device = 'cuda'" in faults_of({"base": {"device": "cuda"}}, root)
    assert "set gpus 0" in faults_of({"base": {"device": "cpu"}, "replicas": {"gpus": 1}}, root)


def test_sizes_can_be_spelled(root: Path) -> None:
    assert load_settings({"engine": {"host_cache_bytes": "1GiB"}}, root=root).engine.host_cache_bytes == 2**30


def test_a_base_that_is_a_path_is_anchored_and_a_hub_id_is_not(root: Path) -> None:
    (root / "models" / "tiny").mkdir(parents=True)
    assert load_settings({"base": {"model": "models/tiny"}}, root=root).base.model == str(root / "models" / "tiny")
    assert load_settings({"base": {"model": "org/name"}}, root=root).base.model == "org/name"


def test_shipped_config_is_valid_for_serve_and_for_us() -> None:
    document = yaml.safe_load(DEFAULT_CONFIG.read_text())
    ServeDeploySchema.model_validate(document)
    assert document["http_options"]["host"] == "127.0.0.1"
    (args,) = [application["args"] for application in document["applications"]]
    load_settings(args, root=DEFAULT_CONFIG.parent)


def test_the_import_path_of_the_shipped_config_builds_an_application() -> None:
    (application,) = ServeDeploySchema.model_validate(yaml.safe_load(DEFAULT_CONFIG.read_text())).applications
    module, _, attribute = application.import_path.partition(":")
    assert isinstance(getattr(import_module(module), attribute)(application.args), Application)


def test_relative_paths_start_from_the_project_wherever_the_file_lies(tmp_path: Path) -> None:
    """The launcher, the command line and the application itself read one file alike."""
    args = {"adapters": {"dir": "adapters", "state_dir": "runs/elsewhere"}, "security": {"load_roots": ["adapters"]}}
    config = tmp_path / "serve.yaml"
    config.write_text(yaml.safe_dump({"applications": [{"import_path": "deployments.app:build", "args": args}]}))
    assert read_config(config, None, None)["applications"][0]["args"] == args
    assert isinstance(import_module("deployments.app").build(args), Application)
    settings = read_settings(config)
    assert settings == load_settings(args, root=project_root())
    assert settings.adapters.state_dir == project_root() / "runs" / "elsewhere"


def test_ray_serve_knows_every_setting_that_is_made() -> None:
    known = inspect.getsource(constants)
    assert [name for name in SERVE_ENVIRONMENT if f'"{name}"' not in known] == []


def test_ray_knows_every_setting_that_is_made_on_this_machine_alone() -> None:
    core = Path(ray._raylet.__file__).read_bytes()
    sources = "".join(map(inspect.getsource, (log_monitor, reporter_consts, ray_constants)))
    unknown = [n for n in LOCAL_ENVIRONMENT if b"\0" + n.encode() + b"\0" not in core and f'"{n}"' not in sources]
    assert unknown == []


def test_launcher_reports_faults_of_serve_and_of_ours_together(root: Path) -> None:
    config = root / "serve.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "http_options": {"host": "0.0.0.0", "port": "many"},
                "applications": [{"import_path": "deployments.app:build", "args": {"engine": {"max_rows": -1}}}],
            }
        )
    )
    with pytest.raises(ConfigError) as caught:
        read_config(config, None, None)
    assert "http_options.port" in caught.value.message
    assert "engine.max_rows = -1" in caught.value.message


def test_without_keys_only_loopback_may_be_listened_on(root: Path) -> None:
    config = root / "serve.yaml"
    config.write_text(yaml.safe_dump({"applications": [{"import_path": "deployments.app:build", "args": {}}]}))
    assert read_config(config, "127.0.0.1", 8123)["http_options"] == {"host": "127.0.0.1", "port": 8123}
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0.*without API keys"):
        read_config(config, "0.0.0.0", None)
