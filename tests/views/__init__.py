"""Tests of screens, reports and documents made of a task's events."""
