"""Settings: their sections, how they are checked, and the file that describes a deployment.

Files:

audit_section        The section ``audit`` of the settings: the log of who did what, and where its checkpoints go
composition_section  The section ``composition`` of the settings: what is done where adapters of a mix spoil each
                     other's answers
confidence_section   The section ``confidence`` of the settings
context_section      The section ``context`` of the settings: from when on a mix counts as having left the base
                     model's context
loading              Loads settings and reports all faults of a configuration at once
section              What sections of the settings are made of: their base class, and the types of paths and sizes
sections             The sections of the settings: every key with its default, its limits and its description for
                     users
serve_file           The file that describes a deployment, in Ray Serve's own schema: read strictly, without Ray
tracker_section      The section ``tracker`` of the settings: what is kept of requests, where, and for how long
"""

from __future__ import annotations

from adaptrix_core.config.loading import Settings, load_settings

__all__ = ["Settings", "load_settings"]
