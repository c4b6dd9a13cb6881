"""Launching Adaptrix on clusters, and measuring how it scales. Nothing imports this; it imports `deployments`."""
