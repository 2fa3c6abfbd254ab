"""dtk: plan and apply multi-node services from files in git."""

__version__ = "0.1.0"
