"""Which entries count, decided from names, signers and versions alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adaptrix_core.errors import AdapterRejected, AdapterUnavailable, ConfigError, Conflict
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Entry, Refusal
from deployments.shared.wire import Signer
from deployments.store.name_book import NameBook
from deployments.store.standing import first_signed, newest_verified, refuse_foreign, refused_by_all, with_standing

OURS, THEIRS = Signer("a" * 64, "ours"), Signer("b" * 64, "theirs")


@dataclass
class Known:
    """Names as a test says they are."""

    signers: dict[str, Signer | None] = field(default_factory=dict)
    owned: dict[str, tuple[str, ...]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def owners(self, name: str) -> tuple[str, ...]:
        return self.owned.get(name, ())

    def owner_shown(self, name: str) -> str:
        return self.owned[name][-1]

    def newest(self, name: str) -> str | None:
        return self.versions.get(name)

    def knows(self, bundle: str) -> bool:
        return bundle in self.signers

    def signer(self, bundle: str) -> Signer | None:
        return self.signers.get(bundle)


def entry(name: str, version: str, bundle: str, **fields: object) -> Entry:
    return Entry(name, version, f"package-{bundle}", bundle, **{"signed_name": name, **fields})  # type: ignore[arg-type]


def codes(entries: tuple[Entry, ...]) -> dict[str, str | None]:
    return {entry.bundle_digest: entry.withheld.code if entry.withheld else None for entry in entries}


def test_a_name_is_given_to_the_signer_of_its_lowest_version_shipped_ones_first() -> None:
    stored, shipped = entry("x", "0.5", "stored"), entry("x", "2.0", "shipped", shipped=True)
    known = Known({"stored": THEIRS})
    assert first_signed([stored, shipped], known) == {}, "the shipped one's signer is waited for"
    known.signers["shipped"] = OURS
    assert first_signed([stored, shipped], known) == {"x": OURS}
    assert first_signed([stored], known) == {"x": THEIRS}
    known.owned["x"] = (OURS.key,)
    assert first_signed([stored, shipped], known) == {}
    assert first_signed([entry("nick", "1", "stored", signed_name="x")], known) == {}, "an alias gives nobody a name"


def test_nobody_is_first_to_sign_a_shipped_name_while_its_own_signer_is_not_known() -> None:
    shipped, new = entry("x", "1.0", "shipped", shipped=True), entry("x", "9.9", "new", staged=True)
    known = Known()
    with pytest.raises(AdapterUnavailable):
        refuse_foreign(new, THEIRS, [shipped, new], known)
    refuse_foreign(entry("nick", "9.9", "new", signed_name="x"), THEIRS, [shipped, new], known)
    known.signers["shipped"], known.owned["x"] = OURS, (OURS.key,)
    with pytest.raises(Conflict):
        refuse_foreign(new, THEIRS, [shipped, new], known)
    refuse_foreign(new, OURS, [shipped, new], known)


def test_versions_of_another_signer_or_of_nobody_known_are_withheld() -> None:
    entries = [
        entry("x", "1.0", "mine"),
        entry("x", "2.0", "other"),
        entry("x", "3.0", "unsigned"),
        entry("x", "4", "new"),
    ]
    known = Known({"mine": OURS, "other": THEIRS, "unsigned": None}, {"x": (OURS.key,)})
    judged = with_standing(entries, known, set(), set(), is_owned=True)
    assert codes(judged) == {
        "mine": None,
        "other": "name_owned",
        "unsigned": "name_owned",
        "new": "name_unconfirmed",
    }
    catalogue = Catalogue("1", judged)
    found = catalogue.public.find("x")
    assert found is not None
    assert found.bundle_digest == "mine"
    assert isinstance(catalogue.public.not_found("x@2.0"), AdapterRejected)
    assert isinstance(catalogue.public.not_found("x@4"), AdapterUnavailable), "it may be good in a moment"
    assert codes(with_standing(entries, known, set(), set(), is_owned=False)) == dict.fromkeys(codes(judged))


def test_of_two_with_one_identity_the_shipped_one_counts_unless_it_is_not_the_owners() -> None:
    entries = [entry("x", "1.0", "stored"), entry("x", "1.0", "shipped", shipped=True)]
    known = Known({"stored": OURS, "shipped": OURS}, {"x": (OURS.key,)})
    assert codes(with_standing(entries, known, set(), set(), True)) == {"stored": "shadowed", "shipped": None}
    known.signers["shipped"] = THEIRS
    assert codes(with_standing(entries, known, set(), set(), True)) == {"stored": None, "shipped": "name_owned"}
    refused = with_standing(entries, Known(), {"shipped"}, set(), True)
    assert codes(refused)["stored"] is None, "a copy that nobody accepts shadows nothing"


def test_an_alias_gives_way_to_a_package_that_is_good() -> None:
    alias, package = entry("x", "9.0", "alias", signed_name="y"), entry("x", "1.0", "package")
    assert codes(with_standing([alias, package], Known(), set(), set(), True)) == {
        "alias": "name_taken",
        "package": None,
    }
    assert codes(with_standing([alias, package], Known(), {"package"}, set(), True))["alias"] is None


def test_what_is_refused_for_good_everywhere_gives_way_and_what_is_late_does_not() -> None:
    refusals = [{"bad": Refusal("tampered", ""), "late": Refusal("adapter_unavailable", "", is_final=False)}]
    assert refused_by_all([{}], refusals) == {"bad"}
    assert refused_by_all([{}, {"bad": 1}], [*refusals, {}]) == set(), "one replica holds it"
    versions = [entry("x", "1.0", "old"), entry("x", "2.0", "bad"), entry("x", "3.0", "gone")]
    catalogue = Catalogue("1", with_standing(versions, Known(), {"bad"}, {"package-gone"}, True))
    assert [found.bundle_digest for found in catalogue.public.newest()] == ["old"]
    none_good = Catalogue("1", with_standing(versions[1:], Known(), {"bad"}, {"package-gone"}, True))
    assert [found.bundle_digest for found in none_good.public.newest()] == ["gone"], "then the newest one says why"


def test_only_what_was_verified_raises_the_mark_of_a_name() -> None:
    versions = [entry("x", "1.0", "old"), entry("x", "2.0", "new")]
    known = Known({"old": OURS})
    assert newest_verified(versions, known) == {}
    known.signers["new"] = OURS
    assert newest_verified(versions, known) == {"x": "2.0"}
    known.versions["x"] = "3.0"
    assert newest_verified(versions, known) == {}


def test_the_book_outlives_its_process_and_a_broken_one_is_not_an_empty_one(tmp_path: Path) -> None:
    book = NameBook(tmp_path, tmp_path / "keys")
    (tmp_path / "catalogue").mkdir()
    book.open(set())
    book.note({"kept": OURS, "gone": None}, {"x": OURS}, {"x": "1.0"})
    book.note(first={"x": THEIRS})
    again = NameBook(tmp_path, tmp_path / "keys")
    again.open({"kept"})
    assert (again.owners("x"), again.newest("x"), again.signer("kept")) == ((OURS.key,), "1.0", OURS)
    assert not again.knows("gone")
    (tmp_path / "catalogue" / "names.json").write_text("{")
    with pytest.raises(ConfigError, match=r"names\.json"):
        NameBook(tmp_path, tmp_path / "keys").open(set())
