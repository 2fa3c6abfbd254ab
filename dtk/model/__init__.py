"""Frozen data: what modules, assemblies, services, plans are; no files, no network."""
