"""Launch files are what Ray and KubeRay accept, their settings are valid, and what they ask for can be placed."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema

from adaptrix_core.config import Settings, load_settings
from adaptrix_core.errors import ConfigError
from adaptrix_core.places import project_root
from deployments.callers.key_ring import KeyRing
from deployments.launch.environment import SERVE_ENVIRONMENT
from deployments.launch.preflight import read_config
from deployments.launch.reserved_cpus import INGRESS_CPUS, ROUTER_CPUS
from tests.cluster.kuberay_schema import RAY_SERVICE

CLUSTER = project_root() / "cluster"
VARIANTS = sorted((CLUSTER / "serve_configs").glob("*.yaml"))
KEYS_FILE = "/etc/adaptrix/api_keys.json"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def settings_of(document: dict[str, Any]) -> Settings:
    return load_settings(document["applications"][0]["args"], root=project_root())


def test_there_is_a_variant_for_one_cpu_one_gpu_and_many() -> None:
    assert [path.stem for path in VARIANTS] == ["many_gpus", "one_cpu", "one_gpu"]


@pytest.mark.parametrize("path", VARIANTS, ids=lambda path: path.stem)
def test_variants_pass_rays_schema_and_ours_and_listen_on_loopback(path: Path) -> None:
    document = read_config(path, None, None)  # both schemas, and that without keys only loopback is allowed
    assert document["http_options"]["host"] == "127.0.0.1"
    assert settings_of(document).adapters.trust == "require"


@pytest.mark.parametrize(
    ("name", "device", "gpus", "replicas"),
    [("one_cpu", "cpu", 0, 1), ("one_gpu", "cuda", 1, 1), ("many_gpus", "cuda", 1, 8)],
)
def test_variants_ask_for_the_hardware_they_are_named_after(name: str, device: str, gpus: int, replicas: int) -> None:
    settings = settings_of(read(CLUSTER / "serve_configs" / f"{name}.yaml"))
    assert (settings.base.device, settings.replicas.gpus, settings.replicas.num_replicas) == (device, gpus, replicas)


def test_a_variant_with_a_wrong_key_is_refused(tmp_path: Path) -> None:
    document = read(VARIANTS[0])
    document["applications"][0]["args"]["engine"]["max_row"] = 4
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=r"engine\.max_row: unknown key"):
        read_config(tmp_path / "wrong.yaml", None, None)


def test_the_ray_up_file_passes_the_schema_that_ray_ships() -> None:
    prepared = prepare_config(read(CLUSTER / "ray_up.yaml"))
    validate_config(prepared)
    assert prepared["provider"]["head_ip"] == "192.0.2.10"


def test_the_ray_up_file_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(jsonschema.ValidationError, match="head_start_commands"):
        validate_config(prepare_config({**read(CLUSTER / "ray_up.yaml"), "head_start_commands": []}))


def test_ray_up_starts_the_ray_of_the_checkout_that_it_copies_and_sets_up() -> None:
    document = read(CLUSTER / "ray_up.yaml")
    assert document["file_mounts"] == {"~/adaptrix": "."}
    assert document["setup_commands"] == ["make -C ~/adaptrix setup"]
    for command in document["head_start_ray_commands"] + document["worker_start_ray_commands"]:
        assert "~/adaptrix/.venv/bin/ray st" in command
        assert ("python -m deployments.launch.environment" in command) == (" start " in command)
    assert set(document["rsync_exclude"]) >= {".git", ".venv", "runs"}


@pytest.fixture(name="manifest")
def the_manifest() -> dict[str, Any]:
    return read(CLUSTER / "kuberay" / "rayservice.yaml")


def serve_config(manifest: dict[str, Any]) -> dict[str, Any]:
    return yaml.safe_load(manifest["spec"]["serveConfigV2"])


def containers(manifest: dict[str, Any]) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Container and volumes of each group."""
    cluster = manifest["spec"]["rayClusterConfig"]
    groups = {"head": cluster["headGroupSpec"], **{g["groupName"]: g for g in cluster["workerGroupSpecs"]}}
    pods = {name: group["template"]["spec"] for name, group in groups.items()}
    return {name: (pod["containers"][0], pod["volumes"]) for name, pod in pods.items()}


def test_the_manifest_has_the_fields_that_kuberay_documents(manifest: dict[str, Any]) -> None:
    jsonschema.validate(manifest, RAY_SERVICE)


@pytest.mark.parametrize(
    "where", [("spec",), ("spec", "rayClusterConfig"), ("spec", "rayClusterConfig", "headGroupSpec")]
)
def test_a_manifest_with_another_field_is_refused(manifest: dict[str, Any], where: tuple[str, ...]) -> None:
    changed = copy.deepcopy(manifest)
    place = changed
    for key in where:
        place = place[key]
    place["workerGroupSpec"] = []
    with pytest.raises(jsonschema.ValidationError, match="workerGroupSpec"):
        jsonschema.validate(changed, RAY_SERVICE)


def test_the_manifests_serve_config_passes_rays_schema_and_ours(manifest: dict[str, Any], tmp_path: Path) -> None:
    document = serve_config(manifest)
    ServeDeploySchema.model_validate(document)
    args = document["applications"][0]["args"]
    assert args["security"]["api_keys_file"] == KEYS_FILE
    keys = tmp_path / "api_keys.json"
    key = {"id": "k", "sha256": hashlib.sha256(b"secret").hexdigest(), "tenant": "t", "scopes": ["generate"]}
    keys.write_text(json.dumps({"keys": [key]}))
    args["security"]["api_keys_file"] = str(keys)
    assert KeyRing.read(settings_of(document).security.api_keys_file).enabled


def test_pods_have_the_settings_that_every_node_needs(manifest: dict[str, Any]) -> None:
    for container, _ in containers(manifest).values():
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        assert environment == {"RAY_USAGE_STATS_ENABLED": "0", **SERVE_ENVIRONMENT}


def test_pods_mount_the_keys_and_the_state_that_the_settings_name(manifest: dict[str, Any]) -> None:
    args = serve_config(manifest)["applications"][0]["args"]
    for container, volumes in containers(manifest).values():
        mounts = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
        assert mounts.keys() == {volume["name"] for volume in volumes}
        assert Path(args["security"]["api_keys_file"]).parent == mounts["api-keys"]
        assert Path(args["adapters"]["state_dir"]).is_relative_to(mounts["state"])


def test_all_processes_of_the_manifest_find_a_place(manifest: dict[str, Any]) -> None:
    replicas = settings_of_keyless(manifest).replicas
    (group,) = manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    limits = containers(manifest)["gpu"][0]["resources"]["limits"]
    assert int(limits["nvidia.com/gpu"]) * group["minReplicas"] >= replicas.gpus * replicas.num_replicas
    beside = INGRESS_CPUS + ROUTER_CPUS
    assert int(limits["cpu"]) >= replicas.cpus + beside
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def settings_of_keyless(manifest: dict[str, Any]) -> Settings:
    document = serve_config(manifest)
    del document["applications"][0]["args"]["security"]["api_keys_file"]
    return settings_of(document)


def test_the_manifest_names_one_image_the_installed_ray_and_the_serve_port(manifest: dict[str, Any]) -> None:
    assert manifest["spec"]["rayClusterConfig"]["rayVersion"] == ray.__version__
    assert len({container["image"] for container, _ in containers(manifest).values()}) == 1
    port = serve_config(manifest)["http_options"]["port"]
    for container, _ in containers(manifest).values():
        assert port in [entry["containerPort"] for entry in container["ports"] if entry["name"] == "serve"]
