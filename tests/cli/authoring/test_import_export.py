"""`import` and `export`: a PEFT directory in, signed, verified, and out again with the same weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner, Result
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from adaptrix_core.adapters import generate_key_pair
from adaptrix_core.cli.main import cli
from tests.adapters.sources.fake_hub import FakeHub, fake_hub
from tests.cli.conftest import TINY


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, a PEFT adapter for it with random weights, a key pair, and settings that know all of them."""
    place = tmp_path_factory.mktemp("exchange")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **TINY, bos_token_id=1, eos_token_id=2))
    model.save_pretrained(place / "base")
    modules = ["q_proj", "down_proj"]
    config = LoraConfig(r=3, lora_alpha=5, target_modules=modules, layers_to_transform=[1, 2], init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(place / "shouting")
    generate_key_pair(place / "alice.key", place / "trusted" / "alice.pub")
    (place / "adapters").mkdir()
    (place / "settings.yaml").write_text(
        f"base: {{model: {place}/base, device: cpu, precision: fp32}}\n"
        f"adapters: {{dir: {place}/adapters, trusted_keys_dir: {place}/trusted}}\n"
    )
    return place


def test_a_round_trip_keeps_every_number(place: Path) -> None:
    config = ("--config", place / "settings.yaml")
    imported = run("import", place / "shouting", "--sign", "--key", place / "alice.key", *config, "--json")
    assert imported.exit_code == 0, imported.output
    facts = json.loads(imported.stdout)
    assert (facts["identity"], facts["layers"], facts["rank"]) == ("shouting@1.0.0", [1, 2], 3)
    verified = run("verify", place / "adapters" / "shouting", *config, "--base", place / "base", "--json")
    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.stdout)["signer"] == "alice"
    exported = run("export", "shouting", place / "out", *config)
    assert exported.exit_code == 0, exported.output
    before = safetensors.torch.load_file(place / "shouting" / "adapter_model.safetensors")
    after = safetensors.torch.load_file(place / "out" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    settings = json.loads((place / "out" / "adapter_config.json").read_text())
    assert settings["lora_alpha"] / settings["r"] == pytest.approx(5 / 3)


def test_routing_examples_come_from_the_training_data_where_none_are_given(place: Path, tmp_path: Path) -> None:
    pairs = [json.dumps({"prompt": f"How loud is {n}?", "completion": "very"}) for n in range(3)]
    (tmp_path / "data.jsonl").write_text("\n".join(pairs))
    data = ("--training-data", tmp_path / "data.jsonl", "--config", place / "settings.yaml", "--adapters", tmp_path)
    for name, more, expected in (("made", (), 3), ("given", ("--route-example", "Shout!"), 1)):
        done = run("import", place / "shouting", "--name", name, *data, *more)
        assert done.exit_code == 0, done.output
        assert len(json.loads((tmp_path / name / "metadata.json").read_text())["routing_examples"]) == expected


def test_a_second_version_is_where_the_report_says(place: Path) -> None:
    """The first version of a name is stored under the name, a further one under name@version."""
    options = ("--config", place / "settings.yaml", "--name", "twice")
    for version, stored in (("1.0.0", "twice"), ("2.0.0", "twice@2.0.0")):
        imported = run("import", place / "shouting", *options, "--version", version, "--json")
        assert imported.exit_code == 0, imported.output
        directory = Path(json.loads(imported.stdout)["directory"])
        assert directory == place / "adapters" / stored
        assert json.loads((directory / "metadata.json").read_text())["version"] == version
    hint = run("import", place / "shouting", *options, "--version", "3.0.0")
    assert "twice@3.0.0" in hint.stdout.replace("\n", "").split("adaptrix sign ")[1]


def test_an_export_never_overwrites(place: Path) -> None:
    done = run("export", "shouting", place / "shouting", "--config", place / "settings.yaml")
    assert done.exit_code == 1
    assert "is not empty" in done.stderr


@pytest.mark.parametrize(
    ("source", "complaint"),
    [("base", "is not a PEFT adapter"), ("nowhere", "no directory"), ("a/b/c", "no directory")],
)
def test_what_is_no_peft_adapter_is_refused(place: Path, source: str, complaint: str) -> None:
    path = place / source if source == "base" else source
    done = run("import", path, "--config", place / "settings.yaml")
    assert done.exit_code == 1
    assert complaint in done.stderr


def test_a_feature_that_we_lack_is_named(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_loading(monkeypatch)
    directory = tmp_path / "dora"
    directory.mkdir()
    for file in (place / "shouting").iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    settings = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps({**settings, "use_dora": True}))
    done = run("import", directory, "--config", place / "settings.yaml")
    assert done.exit_code == 1
    assert "dora" in done.stderr.lower()
    assert "[unsupported_peft_feature]" in done.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--name", "Shouting!"], "name = 'Shouting!'"),
        (["--name", "auto"], "name = 'auto': reserved"),
        (["--version", "latest"], "version = 'latest': one to three whole numbers"),
        (["--adapters", "/proc/adapters"], "cannot be written to"),
        (["--sign", "--key", "no.key"], "[key_not_found]"),
    ],
)
def test_what_the_base_has_no_say_in_is_checked_before_it_is_loaded(
    place: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], complaint: str
) -> None:
    forbid_loading(monkeypatch)
    done = run("import", place / "shouting", "--config", place / "settings.yaml", *options)
    assert done.exit_code == 1
    assert complaint in done.stderr


def forbid_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("a base model was loaded first")

    monkeypatch.setattr("adaptrix_core.base.manager.BaseModelManager.load_model", loaded)


@pytest.mark.parametrize(
    ("code", "rename"),
    [
        ("unknown_module", lambda name: name.replace("model.layers", "language_model.layers")),
        ("no_tensors", lambda name: None),
    ],
)
def test_vllm_34186_an_adapter_that_binds_nothing_is_not_imported(
    place: Path, tmp_path: Path, code: str, rename: Callable[[str], str | None]
) -> None:
    directory = tmp_path / "nothing"
    shutil.copytree(place / "shouting", directory)
    tensors = safetensors.torch.load_file(directory / "adapter_model.safetensors")
    renamed = {new: tensor for name, tensor in tensors.items() if (new := rename(name)) is not None}
    safetensors.torch.save_file(renamed, directory / "adapter_model.safetensors")
    done = run("import", directory, "--config", place / "settings.yaml")
    assert done.exit_code == 1
    assert f"[{code}]" in done.stderr
    assert not (place / "adapters" / "nothing").exists()


def test_a_key_without_signing_is_wrong_usage(place: Path) -> None:
    done = run("import", place / "shouting", "--key", place / "alice.key")
    assert done.exit_code == 2
    assert "--key needs --sign" in done.output


def test_an_export_to_a_place_that_cannot_be_written_is_refused_first(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_loading(monkeypatch)
    done = run("export", "shouting", "/proc/out", "--config", place / "settings.yaml")
    assert done.exit_code == 1
    assert "OUTPUT /proc/out: /proc cannot be written to" in done.stderr


def test_a_parent_of_checkpoints_is_called_so_and_one_of_them_is_named(place: Path, tmp_path: Path) -> None:
    for step in (50, 100):
        shutil.copytree(place / "shouting", tmp_path / "run" / f"checkpoint-{step}")
    refused = run("import", tmp_path / "run", "--config", place / "settings.yaml", "--name", "steps")
    said = refused.stderr.replace("\n", "")
    assert refused.exit_code == 1
    assert "it holds 2 adapters" in said
    assert "checkpoint-100" in said


def on_the_hub(hub: FakeHub, directory: Path, **changes: object) -> None:
    """The PEFT adapter in ``directory`` as ``org/lora``, with other fields in its config."""
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    config = {**json.loads(files["adapter_config.json"]), **changes}
    hub.commit("org/lora", {**files, "adapter_config.json": json.dumps(config).encode()})


def test_an_adapter_on_the_hub_is_imported_by_its_id(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub(monkeypatch) as hub:
        on_the_hub(hub, place / "shouting")
        imported = run("import", "org/lora@main", "--config", place / "settings.yaml", "--json")
    assert imported.exit_code == 0, imported.output
    assert json.loads(imported.stdout)["identity"] == "lora@1.0.0"


def test_what_is_no_peft_adapter_on_the_hub_is_not_found(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub(monkeypatch) as hub:
        hub.commit("org/model", {"config.json": b"{}"})
        refused = run("import", "org/model", "--config", place / "settings.yaml", "--json")
        missing = run("import", "org/nothing", "--config", place / "settings.yaml", "--json")
    assert json.loads(refused.stderr)["error"]["code"] == json.loads(missing.stderr)["error"]["code"]
    assert "a whole model" in refused.stderr


def test_a_refusal_of_what_the_hub_sent_names_the_id_that_was_asked_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_hub(monkeypatch) as hub:
        on_the_hub(hub, place / "shouting", use_dora=True)
        refused = run("import", "org/lora@main", "--config", place / "settings.yaml")
    assert refused.exit_code == 1
    assert "org/lora@main: PEFT features" in refused.stderr.replace("\n", " ")
