"""Tests of the module language, of assemblies and of service files."""
