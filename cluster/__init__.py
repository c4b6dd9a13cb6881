"""Launching Adaptrix on clusters, and measuring how it scales. Nothing imports this package; it imports `deployments`."""
