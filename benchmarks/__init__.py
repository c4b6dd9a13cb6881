"""Measurements: each one prints a table for people and ends with one line of JSON for programs."""
