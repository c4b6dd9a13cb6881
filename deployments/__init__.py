"""Adaptrix on Ray Serve: ingress, router, model replicas and the adapter store. Thin: no model maths here."""
