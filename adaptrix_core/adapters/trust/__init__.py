"""Who vouches for an adapter: keys, signatures, names and their owners, revocation.

Files:

keys              Signing keys: their places, how they are made, and their fingerprints
name_owners       Owners of names: the signer that owns a name, and the versions of the name that count
policy            Decides whether an adapter may be loaded: signature policy, trusted keys, revocation
revocation        The list of revoked packages: numbered, so that an older one never replaces a newer one, and signed
                  like an adapter
revocation_lease  A replica's revocation list, and the lease for which it may rely on it
shipped           Recognises the packages that are shipped with this installation
signing           OpenSSF Model Signing over a `Snapshot`: sign, and verify against trusted keys
snapshot_hashing  Makes the model-signing library hash a `Snapshot` in memory instead of a directory on disk
"""
