"""The audit log of a running server: one process writes it for all, each of the others has a trail of its own.

Knows what is recorded and when; the log itself is `adaptrix_core/security/audit/`.

Files:

actor          The keeper of the audit log: one named, detached actor that writes what all processes of a server
               record
flood_gate     Keeps a flood of refused requests from filling the disk: some of each kind are recorded, the others are
               counted
followed_keys  Follows the keys file for the audit log: each change of a key is recorded, once
handle         Finds the keeper of the audit log, or makes it: from any process, at any time
key_changes    What has changed in the keys file, as events: which key, whose, and what about it
opened         The writer of the log that the settings describe
trail          What one process records in the audit log: what administrators do, before and after, and whom it
               refused
"""
