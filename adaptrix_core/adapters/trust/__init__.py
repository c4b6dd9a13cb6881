"""Who vouches for an adapter: keys, signatures, names and their owners, revocation.

Files:

keys                  Signing keys: their places, how they are made, and their fingerprints
name_owners           Owners of names: the signer that owns a name, and the versions of the name that count
policy                Decides whether an adapter may be loaded: signature policy, trusted keys, revocation
revocation            The list of revoked packages: numbered, so that an older one never replaces a newer one, and
                      signed like an adapter
revocation_directory  The revocation list on disk: replaced by later lists only, readable by all who load adapters
revocation_lease      A replica's revocation list, and the lease for which it may rely on it
revocation_text       A text file of revoked packages, as people keep one: what `adaptrix revoke --file` puts on the
                      signed list
shipped               Recognises the packages that are shipped with this installation
signed_document       A signed JSON document in a directory of its own: one file, and the signature over it
signed_shelf          Signed documents that are at hand: read and verified once, and anew where files have changed
signing               OpenSSF Model Signing over a `Snapshot`: sign, and verify against trusted keys
snapshot_hashing      Makes the model-signing library hash a `Snapshot` in memory instead of a directory on disk
"""
