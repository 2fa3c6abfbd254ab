"""Tests of screens, reports and documents that are rendered from a task's events."""
