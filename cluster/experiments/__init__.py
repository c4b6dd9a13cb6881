"""Scaling experiments: workloads, an open-loop HTTP load generator, a simulator, and the sweeps that compare them."""
