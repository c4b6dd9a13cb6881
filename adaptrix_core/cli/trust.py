"""`sign` and `verify`: who vouches for an adapter directory, and whether you believe them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from adaptrix_core.adapters.trust import TrustPolicy
    from adaptrix_core.adapters.validation import ValidationReport

Directory = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("directory", type=Directory)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Private key, PEM, elliptic curve (default: keys/signing.key in the user's adaptrix configuration).",
)
@click.option("--new-key", is_flag=True, help="Make the key pair first; the public half is written beside it as .pub.")
@output_options
@click.pass_obj
def sign(session: Session, directory: Path, key: Path | None, new_key: bool) -> None:
    """Sign (or re-sign) the adapter in DIRECTORY with OpenSSF Model Signing.

    Whoever shall load it under the policy `require` needs the public key in a trusted-keys directory.
    """
    from adaptrix_core.adapters.keys import default_private_key
    from adaptrix_core.adapters.package import sign_package

    private = key or default_private_key()
    if new_key:
        make_key_pair(session, private)
    digest = sign_package(directory, private)
    session.output.result(
        {"directory": str(directory), "package_digest": digest, "key": str(private)},
        lambda out: out.print(f"signed {directory}\npackage digest {digest}", markup=False),
    )


def make_key_pair(session: Session, private: Path) -> None:
    """Write a new pair at ``private`` and ``private`` with the suffix .pub, and say what to do with each."""
    from adaptrix_core.adapters.keys import PUBLIC_KEY_SUFFIX, generate_key_pair

    public = private.with_suffix(PUBLIC_KEY_SUFFIX)
    generate_key_pair(private, public)
    session.output.note(f"private key {private}: keep it out of every repository")
    session.output.note(
        f"public key {public}: copy it, under your name, to the trusted keys of whoever loads your adapters"
    )


@click.command()
@click.argument("directory", type=Directory)
@click.option("--trusted-keys", type=Directory, help="Directory of public keys (*.pub) whose signatures are accepted.")
@click.option("--base", "base_model", help="Also check layers and shapes against this base model (loads it).")
@output_options
@click.pass_obj
def verify(session: Session, directory: Path, trusted_keys: Path | None, base_model: str | None) -> None:
    """Check the adapter in DIRECTORY as a load would: files, signature, revocation, metadata, tensors.

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
    report = AdapterManager(directory.parent, base, trust).validate_adapter(directory)
    document = {
        **asdict(report),
        "faults": [{"code": code, "message": message} for code, message in report.faults],
        "ok": report.ok,
        "policy": trust.policy,
        "trusted_keys_dir": str(trust.trusted_keys_dir),
    }
    session.output.result(document, lambda out: _show(out, report, trust))
    if not report.ok:
        raise click.exceptions.Exit(1)


def trust_policy(session: Session, trusted_keys: Path | None = None) -> TrustPolicy:
    """The policy of --config, or ``require`` with the keys of --trusted-keys or, without them, the user's."""
    from adaptrix_core.adapters.trust import TrustPolicy

    if session.config is not None:
        configured = session.settings.adapters
        keys = trusted_keys or configured.trusted_keys_dir
        return TrustPolicy(configured.trust, keys, configured.revocation_file)
    return TrustPolicy("require", trusted_keys) if trusted_keys is not None else TrustPolicy("require")


def _show(out: Console, report: ValidationReport, trust: TrustPolicy) -> None:
    lines = [
        f"adapter         {report.identity}",
        f"package digest  {report.package_digest or 'unreadable'}",
        f"weights digest  {report.weights_digest or 'unreadable'}",
        f"signer          {report.signer or 'none that is trusted'}",
        f"policy          {trust.policy}, trusted keys in {trust.trusted_keys_dir}",
        f"checked against {report.checked_against_base or 'no base model (--base does)'}",
        *(f"warning         {warning}" for warning in report.warnings),
        *(f"fault           {message}  [{code}]" for code, message in report.faults),
        "verdict         " + ("would load" if report.ok else "would be refused"),
    ]
    out.print("\n".join(lines), markup=False)
