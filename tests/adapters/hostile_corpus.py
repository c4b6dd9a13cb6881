"""Ways to spoil an adapter directory, each with the code by which it is refused."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch

from adaptrix_core.adapters import Limits
from adaptrix_core.adapters.package.snapshot import Snapshot

LAYER = "layer_1.safetensors"
A, B = "self_attn.q_proj.lora_A", "self_attn.q_proj.lora_B"


def edit_metadata(path: Path, change: Callable[[dict], object]) -> None:
    metadata = json.loads((path / "metadata.json").read_text())
    change(metadata)
    (path / "metadata.json").write_text(json.dumps(metadata))


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = safetensors.torch.load((path / LAYER).read_bytes())
    change(tensors)
    (path / LAYER).write_bytes(safetensors.torch.save(tensors))


def edit_header(path: Path, change: Callable[[dict], object]) -> None:
    data = (path / LAYER).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    write_header(path, json.dumps(header).encode(), data[8 + length :])


def write_header(path: Path, header: bytes, body: bytes) -> None:
    (path / LAYER).write_bytes(len(header).to_bytes(8, "little") + header + body)


def flip_last_byte(path: Path) -> None:
    data = bytearray((path / LAYER).read_bytes())
    data[-1] ^= 1
    (path / LAYER).write_bytes(data)


def swap_layers(path: Path) -> None:
    first, second = (path / LAYER).read_bytes(), (path / "layer_2.safetensors").read_bytes()
    (path / LAYER).write_bytes(second)
    (path / "layer_2.safetensors").write_bytes(first)


def link_layer_out(path: Path) -> None:
    target = path.parent / "outside.safetensors"
    (path / LAYER).rename(target)
    (path / LAYER).symlink_to(target)


def link_directory(path: Path) -> None:
    path.rename(path.parent / "real")
    path.symlink_to(path.parent / "real")


def edit_bundle(path: Path, change: Callable[[dict], object]) -> None:
    bundle = json.loads((path / "signature.json").read_text())
    change(bundle)
    (path / "signature.json").write_text(json.dumps(bundle))


def forge_payload(bundle: dict) -> None:
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"][0]["digest"] = "0" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


def second_payload(path: Path) -> None:
    """A tampered file, and a payload that blesses it under the key's other spelling: two parsers, two truths."""
    flip_last_byte(path)
    snapshot = Snapshot("x", {p.name: p.read_bytes() for p in path.iterdir()})

    def change(bundle: dict) -> None:
        envelope = bundle["dsseEnvelope"]
        payload = json.loads(base64.b64decode(envelope["payload"]))
        for resource in payload["predicate"]["resources"]:
            resource["digest"] = snapshot.file_digests[resource["name"]]
        bundle["dsse_envelope"] = dict(envelope)
        envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()

    edit_bundle(path, change)


def move_to_layer(number: int) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        (path / LAYER).rename(path / f"layer_{number}.safetensors")

        def change(metadata: dict) -> None:
            points = metadata["points"]
            points[f"{number}.self_attn.q_proj"] = points.pop("1.self_attn.q_proj")
            metadata["target_layers"] = [2, number]

        edit_metadata(path, change)

    return build


def rename_module(path: Path) -> None:
    def change(metadata: dict) -> None:
        points = metadata["points"]
        points["1.self_attn.z_proj"] = points.pop("1.self_attn.q_proj")
        metadata["target_modules"] = ["mlp.up_proj", "self_attn.z_proj"]

    edit_metadata(path, change)


def claim_rank(rank: int) -> Callable[[Path], None]:
    def change(metadata: dict) -> None:
        metadata["points"]["1.self_attn.q_proj"]["rank"] = rank
        metadata["rank"] = max(rank, 2)

    return lambda path: edit_metadata(path, change)


def reshape(a: tuple[int, ...], b: tuple[int, ...]) -> Callable[[Path], None]:
    return lambda path: edit_tensors(path, lambda t: t.update({A: torch.zeros(a), B: torch.zeros(b)}))


def fill(value: float) -> Callable[[Path], None]:
    return lambda path: edit_tensors(path, lambda t: t[B].fill_(value))


def no_layers(path: Path) -> None:
    for file in path.glob("layer_*"):
        file.unlink()


def huge_file(path: Path) -> None:
    with open(path / LAYER, "r+b") as file:
        file.truncate(Limits().max_file_bytes + 1)  # sparse: takes no disk


UNSIGNED = {
    # file system
    "a symbolic link instead of a layer": ("symlink", link_layer_out),
    "a symbolic link instead of the directory": ("symlink", link_directory),
    "a pickle beside the layers": ("unexpected_file", lambda p: (p / "adapter_model.bin").write_bytes(b"\x80\x04.")),
    "a directory inside": ("unexpected_file", lambda p: (p / "layer_3.safetensors").mkdir()),
    "a named pipe": ("unexpected_file", lambda p: os.mkfifo(p / "layer_3.safetensors")),
    "a layer file that metadata does not list": (
        "unexpected_file",
        lambda p: (p / "layer_3.safetensors").write_bytes((p / LAYER).read_bytes()),
    ),
    "two spellings of one layer": ("unexpected_file", lambda p: (p / "layer_01.safetensors").write_bytes(b"")),
    "a missing layer": ("missing_file", lambda p: (p / LAYER).unlink()),
    "no metadata": ("missing_file", lambda p: (p / "metadata.json").unlink()),
    "a layer file over the size limit": ("too_large", huge_file),
    "metadata over the size limit": ("too_large", lambda p: (p / "metadata.json").write_bytes(b" " * (2 << 20))),
    "too many files": ("too_large", lambda p: [(p / f"layer_{n}.safetensors").touch() for n in range(600)]),
    # metadata
    "metadata that is not JSON": ("bad_metadata", lambda p: (p / "metadata.json").write_text("{")),
    "metadata that is not UTF-8": ("bad_metadata", lambda p: (p / "metadata.json").write_bytes(b'{"a": "\xff"}')),
    "metadata nested too deep": ("bad_metadata", lambda p: (p / "metadata.json").write_text('{"training":' * 80_000)),
    "an unknown field": ("bad_metadata", lambda p: edit_metadata(p, lambda m: m.update(execute="rm -rf"))),
    "a future schema": ("bad_metadata", lambda p: edit_metadata(p, lambda m: m.update(schema_version=2))),
    "a point that is a path": (
        "bad_metadata",
        lambda p: edit_metadata(p, lambda m: m["points"].update({"1.../../x": {"rank": 1, "scaling": 1.0}})),
    ),
    "layers that disagree with the points": (
        "bad_metadata",
        lambda p: edit_metadata(p, lambda m: m.update(target_layers=[1])),
    ),
    "a scaling that is not finite": (
        "bad_metadata",
        lambda p: edit_metadata(p, lambda m: m["points"]["1.self_attn.q_proj"].update(scaling=float("inf"))),
    ),
    "a scaling that was changed": (
        "digest_mismatch",
        lambda p: edit_metadata(p, lambda m: m["points"]["1.self_attn.q_proj"].update(scaling=100.0)),
    ),
    # base
    "another lineage": ("base_mismatch", lambda p: edit_metadata(p, lambda m: m["base"].update(lineage="other"))),
    "another shape": ("base_mismatch", lambda p: edit_metadata(p, lambda m: m["base"].update(signature="other"))),
    "a layer past the depth": ("layer_out_of_range", move_to_layer(4)),
    "a module that the base lacks": ("unknown_module", rename_module),
    # tensors
    "an oversize header": ("oversize_header", lambda p: write_header(p, b" " * (2 << 20), b"")),
    "a header length of 2**63": ("oversize_header", lambda p: (p / LAYER).write_bytes(b"\xff" * 8 + b"{}")),
    "an empty file": ("bad_safetensors", lambda p: (p / LAYER).write_bytes(b"")),
    "a truncated file": ("bad_safetensors", lambda p: os.truncate(p / LAYER, 200)),
    "bytes after the tensors": ("bad_safetensors", lambda p: (p / LAYER).open("ab").write(b"x")),
    "notes that are not text": ("bad_safetensors", lambda p: edit_header(p, lambda h: h.update(__metadata__={"a": 1}))),
    "a header in UTF-16": ("bad_safetensors", lambda p: write_header(p, "{}".encode("utf-16"), b"")),
    "a header that is a list": ("bad_safetensors", lambda p: write_header(p, b"[]", b"")),
    "a header nested too deep": ("bad_safetensors", lambda p: write_header(p, b'{"a":' * 50_000, b"")),
    "overlapping tensors": (
        "bad_safetensors",
        lambda p: edit_header(p, lambda h: h[B].update(data_offsets=h[A]["data_offsets"])),
    ),
    "a negative offset": ("bad_safetensors", lambda p: edit_header(p, lambda h: h[A].update(data_offsets=[-256, 0]))),
    "a shape that overflows": (
        "bad_safetensors",
        lambda p: edit_header(p, lambda h: h[A].update(shape=[2**40, 2**40])),
    ),
    "a name given twice": (
        "bad_safetensors",
        lambda p: write_header(p, b'{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"x":{}}', b""),
    ),
    "float64": ("bad_dtype", lambda p: edit_tensors(p, lambda t: t.update({A: t[A].double()}))),
    "int8": ("bad_dtype", lambda p: edit_tensors(p, lambda t: t.update({A: t[A].to(torch.int8)}))),
    "a dtype nobody knows": ("bad_dtype", lambda p: edit_header(p, lambda h: h[A].update(dtype="F4"))),
    "a missing tensor": ("missing_tensor", lambda p: edit_tensors(p, lambda t: t.pop(A))),
    "a surplus tensor": ("unexpected_tensor", lambda p: edit_tensors(p, lambda t: t.update(extra=torch.zeros(1)))),
    "a tensor named by a path": (
        "unexpected_tensor",
        lambda p: edit_tensors(p, lambda t: t.update({"../x": t[A].clone()})),
    ),
    "no tensors": ("no_tensors", no_layers),
    "rank zero": ("bad_metadata", claim_rank(0)),
    "a rank that the tensors lack": ("bad_rank", claim_rank(3)),
    "a rank over the module's width": ("bad_rank", claim_rank(33)),
    "A too narrow": ("bad_shape", reshape((2, 31), (32, 2))),
    "B too tall": ("bad_shape", reshape((2, 32), (33, 2))),
    "three dimensions": ("bad_shape", reshape((2, 32, 1), (32, 2))),
    "ranks of A and B that differ": ("bad_rank", reshape((2, 32), (32, 3))),
    "NaN": ("non_finite", fill(float("nan"))),
    "infinity": ("non_finite", fill(float("inf"))),
    "other weights of the right shape": ("digest_mismatch", fill(0.5)),
}

SIGNED = {
    "no signature": ("signature_missing", lambda p: (p / "signature.json").unlink()),
    "one byte changed": ("tampered", flip_last_byte),
    "two layers swapped": ("tampered", swap_layers),
    "metadata changed": ("tampered", lambda p: edit_metadata(p, lambda m: m.update(description="changed"))),
    "a signed file missing": ("missing_file", lambda p: (p / LAYER).unlink()),
    "a file added": ("unexpected_file", lambda p: (p / "README.md").write_text("trust me")),
    "a signature that is not JSON": ("bad_signature", lambda p: (p / "signature.json").write_text("{")),
    "a signature that is a list": ("bad_signature", lambda p: (p / "signature.json").write_text("[]")),
    "a signature nested too deep": ("bad_signature", lambda p: (p / "signature.json").write_text("[" * 90_000)),
    "an empty bundle": ("bad_signature", lambda p: edit_bundle(p, lambda b: b.clear())),
    "no signatures in the bundle": (
        "bad_signature",
        lambda p: edit_bundle(p, lambda b: b["dsseEnvelope"].update(signatures=[])),
    ),
    "a forged payload": ("bad_signature", lambda p: edit_bundle(p, forge_payload)),
    "a payload under a second spelling": ("bad_signature", second_payload),
}
