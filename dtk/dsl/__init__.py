"""The module language: YAML with positions, validated and turned into the model.

In: folders with modules, service.yaml, dtk.yaml. Out: frozen objects of `dtk.model`, or every problem at once with
its place. Must not know: plans.
"""
