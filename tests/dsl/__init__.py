"""Tests of what modules, assemblies and services may say."""
