"""The executor: applies one plan, in a worker process of its own."""
