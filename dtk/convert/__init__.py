"""Reads the original's modules and writes ours; what can't be carried over is listed with its place."""
