"""An entry of the catalogue, and what is asked for with it: whose it is, and how it is called by whom.

Plain frozen data, exchanged by ingress, replicas and store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from adaptrix_core.adapters.reference import AdapterReference
from adaptrix_core.digests import BundleDigest, PackageDigest


def name_of_tenant(tenant: str, name: str) -> str:
    """``name``, or ``~tenant/name`` for one that belongs to a tenant: no name that is loaded begins so.

    What else than letters and digits is in the tenant's own name is written as in URLs, so that references can hold it.
    """
    return f"~{quote(tenant, safe='')}/{name}" if tenant else name


@dataclass(frozen=True)
class Audience:
    """Who sees an adapter: everybody, or one tenant, with others that it shares it with."""

    tenant: str = ""
    """Empty: everybody."""
    shared_with: tuple[str, ...] = ()

    def of(self, entry: Entry) -> Entry:
        """The same entry for this audience."""
        return replace(entry, tenant=self.tenant, shared_with=self.shared_with)


PUBLIC = Audience()


@dataclass(frozen=True)
class Refusal:
    """Why a replica will not serve a bundle. It is not tried again until the catalogue offers it anew."""

    code: str
    message: str
    is_final: bool = True
    """False where the replica keeps trying, because the bundle itself is not known to be at fault."""


@dataclass(frozen=True)
class Entry:
    """One adapter in the catalogue. The text in it is not verified: only replicas verify packages."""

    name: str
    """Of a package's form, whatever is shown: files, owners and catalogues go by it."""
    version: str
    package_digest: PackageDigest
    """Digest of the package, without its signature: signed, revoked and reported."""
    bundle_digest: BundleDigest
    """Digest of package and signature: stored, verified and held by it, and named in calls."""
    description: str = ""
    examples: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    shipped: bool = False
    """Whether it is in the shipped directory; else it was loaded at run time."""
    staged: bool = False
    """Whether replicas are still verifying it: they hold it, but no request can name it."""
    loaded_at: int = 0
    """Seconds since the epoch."""
    revision: str = ""
    """Changes whenever the same bundle is offered again, so that replicas verify it again."""
    shown: str = ""
    """The name that it was loaded under, where that is not of a package's form: with capitals or slashes."""
    place: str = ""
    """The path that it was loaded from, as it was given; empty for one that is shipped or published."""
    signed_name: str = ""
    """The name in the signed metadata; empty for a PEFT directory, which has none."""
    parts: tuple[tuple[str, PackageDigest], ...] = ()
    """Of a composition: identity and package digest of each direct part; empty for an adapter."""
    composition: str = ""
    """Of a composition: what it says of its parts, as JSON (`canonical`); empty for an adapter."""
    withheld: Refusal | None = None
    """Why no request is served by this entry, whatever replicas hold: its name is another signer's."""
    is_refused: bool = False
    """Whether every replica refuses it: it gives way to other versions of its name."""
    tenant: str = ""
    """Whose it is; empty for a public one, which every tenant sees. Names are unique for each tenant, and among the
    public ones."""
    shared_with: tuple[str, ...] = ()
    """Other tenants that see it."""
    seen_as: str = ""
    """In a view (`catalogue.py`) of somebody who is not of its tenant, the name that it has there."""

    @property
    def own_name(self) -> str:
        """The name that its own tenant sees and sends; of a public one, that everybody does."""
        return self.shown or self.name

    @property
    def public_name(self) -> str:
        """The name that clients see and send."""
        return self.seen_as or self.own_name

    @property
    def package_name(self) -> str:
        """The name in the package itself; of one without, the name of this entry."""
        return self.signed_name or self.name

    @property
    def full_name(self) -> str:
        """Its name among those of all tenants: `name_of_tenant` of its own name."""
        return name_of_tenant(self.tenant, self.own_name)

    @property
    def name_key(self) -> str:
        """As `full_name`, of the name of a package's form: by this, the store tells names apart."""
        return name_of_tenant(self.tenant, self.name)

    @property
    def name_here(self) -> str:
        """By this, the names in a view are told apart."""
        return self.seen_as or self.name

    @property
    def identity(self) -> str:
        """Public identity, ``name@version``."""
        return f"{self.public_name}@{self.version}"

    @property
    def is_alias(self) -> bool:
        """Whether it is listed under another name than the signed one."""
        return self.signed_name not in ("", self.own_name)

    def is_called(self, reference: AdapterReference) -> bool:
        """Whether a reference by either of its names means it."""
        names = (self.seen_as,) if self.seen_as else (self.name, self.own_name)
        return reference.name in names and reference.version in (None, self.version)

    def is_seen_by(self, tenant: str) -> bool:
        """Whether it is public, the tenant's own, or shared with it. tenant: empty for nobody in particular."""
        return self.tenant in ("", tenant) or (tenant != "" and tenant in self.shared_with)

    @property
    def is_good(self) -> bool:
        """Whether it can be served: neither withheld nor refused."""
        return self.withheld is None and not self.is_refused


@dataclass(frozen=True)
class LoadCall:
    """An adapter that is to be loaded on every replica."""

    name: str
    """As it is shown."""
    path: str
    """A directory that the store can read, or the name of a shipped adapter that was unloaded."""
    place: str = ""
    """The path as the caller gave it."""
    allow_downgrade: bool = False
    """Whether the bare name may come to mean an older version than before."""
    in_place: bool = False
    """Whether it takes the place of what was loaded under its name."""
    audience: Audience = PUBLIC
