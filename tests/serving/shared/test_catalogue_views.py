"""Views of the catalogue: what each tenant sees, and under which names."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.shared.catalogue import Catalogue, View
from deployments.shared.entry import Audience, Entry, name_of_tenant
from deployments.store.permitted_parts import lost_part, refuse_unseen_parts


def entry(name: str, tenant: str = "", *shared_with: str, **fields: Any) -> Entry:
    digest = f"{tenant}/{name}"
    return Audience(tenant, shared_with).of(Entry(name, "1.0.0", f"package-{digest}", f"bundle-{digest}", **fields))


CATALOGUE = Catalogue(
    "1",
    (
        entry("maths"),
        entry("poems", "acme"),
        entry("law", "acme", "beta", "gamma"),
        entry("poems", "beta"),
        entry("draft", "acme", staged=True),
    ),
    unloaded=("old",),
)


def names(view: View) -> set[str]:
    return {found.public_name for found in view.newest()}


@pytest.mark.parametrize(
    ("tenant", "seen"),
    [
        ("acme", {"maths", "poems", "law"}),
        ("beta", {"maths", "poems", "~acme/law"}),
        ("gamma", {"maths", "~acme/law"}),
        ("nobody", {"maths"}),
    ],
)
def test_a_tenant_sees_what_is_public_its_own_and_what_is_shared_with_it(tenant: str, seen: set[str]) -> None:
    assert names(CATALOGUE.seen_by(tenant)) == seen
    assert CATALOGUE.seen_by(tenant).unloaded == ("old",)


def test_one_name_means_to_each_tenant_its_own() -> None:
    for tenant in ("acme", "beta"):
        found = CATALOGUE.seen_by(tenant).find("poems@1.0.0")
        assert found is not None
        assert found.tenant == tenant
    assert CATALOGUE.seen_by("gamma").find("poems") is None


def test_what_is_shared_has_one_name_alone_and_does_not_tell_with_whom_else() -> None:
    view = CATALOGUE.seen_by("beta")
    assert view.find("law") is None, "a name without its tenant could come to mean another's"
    found = view.find("~acme/law@1.0.0")
    assert found is not None
    assert found.shared_with == ("beta",)
    assert found.identity == "~acme/law@1.0.0"
    assert not found.is_alias


def test_a_foreign_name_is_refused_as_one_that_nobody_has() -> None:
    view = CATALOGUE.seen_by("gamma")
    for foreign, unknown in (("poems", "roams"), ("~acme/poems", "~acme/roams"), ("draft@1.0.0", "craft@1.0.0")):
        told, told_of_nothing = (str(view.not_found(name)).replace(name, "…") for name in (foreign, unknown))
        assert told == told_of_nothing
    assert "poem" not in str(view.not_found("poem")).replace("'poem'", "")


def test_a_name_of_a_tenants_own_keeps_its_meaning_when_a_public_one_comes() -> None:
    later = Catalogue("2", (*CATALOGUE.entries, entry("poems")))
    found = later.seen_by("acme").find("poems")
    assert found is not None
    assert found.tenant == "acme"
    assert names(later.seen_by("acme")) == {"maths", "poems", "law"}
    everybody_else = later.seen_by("gamma").find("poems")
    assert everybody_else is not None
    assert everybody_else.tenant == ""


def test_operators_see_everything_and_every_name_once() -> None:
    seen = [found.public_name for found in CATALOGUE.overseen_by("acme").newest()]
    assert sorted(seen) == ["law", "maths", "poems", "~beta/poems"]
    whole = [found.public_name for found in CATALOGUE.whole.newest()]
    assert sorted(whole) == ["maths", "~acme/law", "~acme/poems", "~beta/poems"]
    shared = CATALOGUE.overseen_by("beta").find("~acme/law")
    assert shared is not None
    assert shared.shared_with == ("beta", "gamma")


def test_a_tenants_name_of_any_letters_stands_in_references() -> None:
    odd = Catalogue("1", (entry("law", "a/b@c+d*e é", "beta"),))
    (found,) = odd.seen_by("beta").newest()
    assert found.public_name == name_of_tenant("a/b@c+d*e é", "law") == "~a%2Fb%40c%2Bd%2Ae%20%C3%A9/law"
    assert odd.seen_by("beta").find(f"{found.public_name}@1.0.0") == found


def composition(tenant: str, *parts: Entry) -> Entry:
    return entry("whole", tenant, parts=tuple((part.identity, part.package_digest) for part in parts))


def test_a_composition_is_made_of_what_its_tenant_sees() -> None:
    maths, poems, law, *_ = CATALOGUE.entries
    for tenant, part in (("", maths), ("acme", poems), ("beta", law), ("acme", law)):
        refuse_unseen_parts(composition(tenant, maths, part), CATALOGUE.entries)
    nobodys = entry("poems", "nobody")
    for tenant, part in (("", poems), ("gamma", poems), ("", law), ("delta", law)):
        with pytest.raises(Exception, match="is not here") as told:
            refuse_unseen_parts(composition(tenant, maths, part), CATALOGUE.entries)
        with pytest.raises(Exception, match="is not here") as of_nothing:
            refuse_unseen_parts(composition(tenant, maths, nobodys), CATALOGUE.entries)
        said = str(told.value).replace(part.identity, "…").replace(part.package_digest, "…")
        assert said == str(of_nothing.value).replace(nobodys.identity, "…").replace(nobodys.package_digest, "…")


def test_a_composition_is_withheld_once_a_part_is_shared_with_its_tenant_no_more() -> None:
    maths, _, law, *_ = CATALOGUE.entries
    whole = composition("beta", maths, law)
    assert lost_part(whole, CATALOGUE.entries) is None
    lost = lost_part(whole, (maths, Audience("acme", ("gamma",)).of(law)))
    assert lost is not None
    assert lost.code == "missing_part"
    assert lost_part(whole, (maths,)) is None, "replicas say so themselves"
