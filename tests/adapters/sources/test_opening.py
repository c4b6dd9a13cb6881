"""The scheme of a location chooses the source, those of other packages among them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adaptrix_core.adapters import AdapterManager, TrustPolicy
from adaptrix_core.adapters.sources import opening
from adaptrix_core.adapters.sources.hub import HubDirectory
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.sources.opening import open_directory
from adaptrix_core.adapters.sources.url import UrlDirectory
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.extension_point import ExtensionPoint
from adaptrix_core.extensions import ADAPTER_SOURCES

SOURCE = """
from pathlib import Path
from adaptrix_core.adapters.sources.local import LocalDirectory

class Vault:
    def open(self, location):
        return LocalDirectory(Path({root!r}) / location.removeprefix("vault://"))

vault = Vault()
"""


def test_a_path_is_local_however_it_is_written_and_an_unknown_scheme_is_fsspecs(tmp_path: Path) -> None:
    for location in (tmp_path, str(tmp_path), ".", Path("memory://x")):
        assert isinstance(open_directory(location), LocalDirectory)
    assert isinstance(open_directory("memory://bucket/x"), UrlDirectory)
    assert isinstance(open_directory("hub://org/name"), HubDirectory)


def test_a_source_of_another_package_is_opened_by_its_scheme_and_trusted_no_more_than_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base, signer, plain: Path
) -> None:
    site = tmp_path / "site"
    info = site / "vault_package-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "vault_package.py").write_text(SOURCE.format(root=str(tmp_path)))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vault_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ADAPTER_SOURCES.group}]\nvault = vault_package:vault\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "vault_package", raising=False)
    fresh = ExtensionPoint(ADAPTER_SOURCES.group, "adapter source", {}, ("open",))
    monkeypatch.setattr(opening, "ADAPTER_SOURCES", fresh)  # ours has looked for installed packages already
    location = f"vault://{plain.name}"
    assert AdapterManager(None, base, TrustPolicy("off")).load_adapter(location).name == plain.name
    with pytest.raises(AdapterRejected) as refused:
        AdapterManager(None, base, signer.trust).load_adapter(location)
    assert refused.value.code == "signature_missing"
    with pytest.raises(AdapterRejected) as refused:
        AdapterManager(None, base, TrustPolicy("off"), allowed_roots=[tmp_path]).load_adapter(location)
    assert refused.value.code == "path_escape"
