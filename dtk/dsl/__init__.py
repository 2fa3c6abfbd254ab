"""The module language: parses YAML with positions, validates it and builds the model.

In: folders with modules, service.yaml, dtk.yaml. Out: frozen objects of `dtk.model`, or all problems at once with
their locations. Must not know: plans.
"""
