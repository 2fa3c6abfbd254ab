"""Screens: folds of the event log and listings, as text."""
