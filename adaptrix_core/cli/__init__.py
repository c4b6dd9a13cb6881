"""The `adaptrix` command: an edge that nobody imports."""
