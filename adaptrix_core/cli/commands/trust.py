"""`sign`, `verify` and `trust`: signing adapter directories, checking them, and transferring names."""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, InvalidRequest

if TYPE_CHECKING:
    from adaptrix_core.adapters.manager import AdapterManager
    from adaptrix_core.adapters.package.validation import ValidationReport
    from adaptrix_core.adapters.trust.keys import TrustedKey
    from adaptrix_core.adapters.trust.policy import TrustPolicy
    from adaptrix_core.composition.manifests.checking import PartReport

Directory = click.Path(exists=True, file_okay=False, path_type=Path)

FINGERPRINT_SHOWN = 12


@click.command()
@click.argument("directory", type=Directory, required=False)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Private key, PEM, elliptic curve (default: keys/signing.key in the user's adaptrix configuration).",
)
@click.option("--new-key", is_flag=True, help="Make the key pair first; the public half is written beside it as .pub.")
@output_options
@click.pass_obj
def sign(session: Session, directory: Path | None, key: Path | None, new_key: bool) -> None:
    """Sign (or re-sign) the adapter in DIRECTORY with OpenSSF Model Signing; --new-key alone makes a key pair.

    To load it under the policy `require`, others need your public key in their directory of trusted keys.
    """
    if directory is None and not new_key:
        raise click.UsageError("name the DIRECTORY of an adapter, or make a key pair with --new-key")
    from adaptrix_core.adapters.package.contents import sign_package
    from adaptrix_core.adapters.trust.keys import check_private_key, default_private_key

    private = key or default_private_key()
    lines = []
    document: dict[str, object] = {"key": str(private)}
    if new_key:
        public, places = make_key_pair(session, private)
        document |= {"public_key": str(public), "trusted_keys": {who: str(place) for who, place in places.items()}}
        lines.append(f"made {private} and {public}")
    check_private_key(private)
    if directory is not None:
        digest = sign_package(directory, private)
        document |= {"directory": str(directory), "package_digest": digest}
        lines += [f"signed {directory}", f"package digest {digest}"]
    session.output.result(document, lambda out: out.print("\n".join(lines), markup=False))


def make_key_pair(session: Session, private: Path) -> tuple[Path, dict[str, Path]]:
    """Write a new pair at ``private`` and ``private`` with the suffix .pub, and explain the use of each.

    Returns the public half, and the directories on this machine in which it would be trusted.
    """
    from adaptrix_core.adapters.trust.keys import PUBLIC_KEY_SUFFIX, generate_key_pair

    public = private.with_suffix(PUBLIC_KEY_SUFFIX)
    generate_key_pair(private, public)
    places = trusting_places(session)
    session.output.note(f"private key {private}: keep it out of every repository")
    session.output.note(f"public key {public}: whoever loads your adapters copies it, under your name; on this machine")
    for who, place in places.items():
        copied = shlex.quote(str(place / f"YOUR_NAME{PUBLIC_KEY_SUFFIX}"))
        session.output.note(
            f"  for {who}: mkdir -p {shlex.quote(str(place))} && cp {shlex.quote(str(public))} {copied}"
        )
    return public, places


def trusting_places(session: Session) -> dict[str, Path]:
    """The programs that load adapters on this machine, each with its directory of trusted keys."""
    from adaptrix_core.cli.settings_file import read_settings
    from adaptrix_core.places import CONFIG_FILE, project_root

    served = session.config or project_root() / CONFIG_FILE
    places = {"the library and --local": trust_policy(session).trusted_keys_dir}
    if served.is_file():
        places[f"a server with {served}"] = read_settings(served).adapters.trusted_keys_dir
    return places


@click.command()
@click.argument("directory", type=Directory)
@click.option("--trusted-keys", type=Directory, help="Directory of public keys (*.pub) whose signatures are accepted.")
@click.option("--base", "base_model", help="Also check layers and shapes against this base model (loads it).")
@click.option("--adapters", type=Directory, help="Where the parts of a composition are (default: beside DIRECTORY).")
@output_options
@click.pass_obj
def verify(
    session: Session, directory: Path, trusted_keys: Path | None, base_model: str | None, adapters: Path | None
) -> None:
    """Check the adapter in DIRECTORY as a load would: files, signature, revocation, metadata, tensors.

    Of a composition every part is checked likewise, parts of parts too, and its digest compared with the signed one.

    Prints every fault, not only the first, and exits 1 if there is one. Trusted keys are those of --trusted-keys, of
    --config, or of the user, whichever comes first; without the first two, the project's key counts for the adapters
    that it ships.
    """
    from adaptrix_core.adapters.manager import AdapterManager

    trust = trust_policy(session, trusted_keys)
    base = None
    if base_model is not None:
        from adaptrix_core.base import BaseModelManager

        with session.output.waiting(f"loading {base_model}"):
            base = BaseModelManager(base_model, device="cpu").load_model()
    manager = AdapterManager(adapters or directory.parent, base, trust)
    report = manager.validate_adapter(directory)
    faults, parts = _composition_checked(manager, directory)
    report = replace(report, faults=(*report.faults, *faults))
    is_good = report.ok and not any(part.faults for part in parts)
    document = {
        **asdict(report),
        "faults": _documents(report.faults),
        "parts": [{**asdict(part), "faults": _documents(part.faults)} for part in parts],
        "ok": is_good,
        "policy": trust.policy,
        "trusted_keys_dir": str(trust.trusted_keys_dir),
    }
    session.output.result(document, lambda out: _show(out, report, parts, trust))
    if not is_good:
        raise click.exceptions.Exit(1)


def _composition_checked(
    manager: AdapterManager, directory: Path
) -> tuple[Sequence[tuple[str, str]], Sequence[PartReport]]:
    """Further faults of a composition, and its parts; nothing for an adapter, and for a package that is malformed."""
    from adaptrix_core.adapters.package.contents import package_metadata_of
    from adaptrix_core.adapters.package.manifest import CompositionMetadata
    from adaptrix_core.composition.manifests.checking import composition_faults, part_reports

    try:
        metadata = package_metadata_of(manager.snapshot(directory))
    except AdapterRejected:  # which the report tells
        return (), ()
    if not isinstance(metadata, CompositionMetadata):
        return (), ()
    return composition_faults(manager, metadata), part_reports(manager, metadata)


def _documents(faults: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"code": code, "message": message} for code, message in faults]


@click.group()
def trust() -> None:
    """Trust in signers: who owns which adapter name."""


@trust.command("transfer")
@click.argument("name")
@click.option(
    "--to",
    "wanted",
    required=True,
    metavar="KEY",
    help="The trusted key that owns NAME from now on: its name, .pub file, or 12 or more digits of its fingerprint.",
)
@click.option("--trusted-keys", type=Directory, help="Directory of the server's public keys (*.pub).")
@output_options
@click.pass_obj
def transfer(session: Session, name: str, wanted: str, trusted_keys: Path | None) -> None:
    """Hand the adapter name NAME over to another signer.

    A name belongs to the first key that signed it; other trusted keys cannot publish versions of it until this is done.
    It is written beside the trusted keys (name_transfers.json), so only who decides which keys are trusted can do it. A
    running server that reads them follows by itself within adapters.poll_s seconds, and logs it. What the earlier owner
    had signed stays.
    """
    from adaptrix_core.adapters.reference import NAME_PATTERN
    from adaptrix_core.adapters.trust.name_owners import TRANSFERS_FILE, Transfer, record_transfer

    if re.match(NAME_PATTERN, name) is None:
        raise InvalidRequest(f"{name!r} is not an adapter name; give the name without a version, e.g. math_reasoning")
    directory = trust_policy(session, trusted_keys).trusted_keys_dir
    key = _trusted_key(directory, wanted)
    record = Transfer(
        name=name, to=key.fingerprint, key=key.name, at=datetime.now(UTC).isoformat(timespec="seconds"), by=_user()
    )
    record_transfer(directory, record)
    session.output.result(
        {**record.model_dump(), "file": str(directory / TRANSFERS_FILE)},
        lambda out: out.print(
            f"{name} belongs to key {key.name} ({key.fingerprint[:12]}) from now on\nrecorded in "
            f"{directory / TRANSFERS_FILE}",
            markup=False,
        ),
    )


def _trusted_key(directory: Path, wanted: str) -> TrustedKey:
    """The trusted key that ``wanted`` names. Raises AdapterNotFound (key_not_found)."""
    from adaptrix_core.adapters.trust.keys import PUBLIC_KEY_SUFFIX, read_public_key, read_trusted_keys

    keys = read_trusted_keys(directory)
    given = read_public_key(Path(wanted)).fingerprint if wanted.endswith(PUBLIC_KEY_SUFFIX) else wanted.lower()
    for key in keys:
        if key.name == wanted or (len(given) >= FINGERPRINT_SHOWN and key.fingerprint.startswith(given)):
            return key
    known = ", ".join(f"{key.name} ({key.fingerprint[:FINGERPRINT_SHOWN]})" for key in keys) or "none"
    raise AdapterNotFound(
        f"{wanted!r} is not a key that {directory} trusts; there are: {known}. Copy its .pub file there first",
        code="key_not_found",
    )


def _user() -> str:
    """The system's name of the user who runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return str(os.getuid())


def trust_policy(session: Session, trusted_keys: Path | None = None) -> TrustPolicy:
    """The policy of --config, else of the default settings; with the keys of --trusted-keys where they are given."""
    from adaptrix_core.adapters.trust.policy import TrustPolicy

    if session.config is None and trusted_keys is not None:  # of whoever signed there, not of this user's server
        return TrustPolicy("require", trusted_keys)
    configured = TrustPolicy.of(session.settings.adapters)
    return configured if trusted_keys is None else replace(configured, trusted_keys_dir=trusted_keys)


def _show(out: Console, report: ValidationReport, parts: Sequence[PartReport], trust: TrustPolicy) -> None:
    is_good = report.ok and not any(part.faults for part in parts)
    lines = [
        f"adapter         {report.identity}",
        f"package digest  {report.package_digest or 'unreadable'}",
        f"weights digest  {report.weights_digest or 'unreadable'}",
        f"signer          {report.signer or 'none that is trusted'}",
        f"policy          {trust.policy}, trusted keys in {trust.trusted_keys_dir}",
        f"checked against {report.checked_against_base or 'no base model (--base does)'}",
        *(f"warning         {warning}" for warning in report.warnings),
        *(f"fault           {message}  [{code}]" for code, message in report.faults),
        *(line for part in parts for line in _part_lines(part)),
        "verdict         " + ("would load" if is_good else "would be refused"),
    ]
    out.print("\n".join(lines), markup=False)


def _part_lines(part: PartReport) -> list[str]:
    signer = part.signer or "nobody that is trusted"
    told = f"part            {part.identity} of {part.within}, package {part.package_digest}, signed by {signer}"
    return [told, *(f"  fault         {message}  [{code}]" for code, message in part.faults)]
