"""Who vouches for an adapter: keys, signatures, names and their owners, revocation.

Files:

keys              Signing keys: where they live, how they are made, how they are told apart
name_owners       Names belong to signers: whose a name is, and which of its versions count
policy            Whether an adapter may be loaded at all: signature policy, trusted keys, revocation
revocation        The list of revoked packages: numbered, so that an older one is never taken for news, and signed
                  like an adapter
revocation_lease  What a replica knows about revocations, and how long it may rely on it
shipped           Whether a package is one of those that came with this installation
signing           OpenSSF Model Signing over a `Snapshot`: sign, and verify against trusted keys
snapshot_hashing  Lets the model-signing library hash a `Snapshot` in memory instead of a directory on disk
"""
