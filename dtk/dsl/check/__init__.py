"""Semantic checks of modules: references resolve, values fit, operations exist, templates can be rendered.

In: the built model and the modules it depends on. Out: problems and warnings with positions; nothing is changed or
run. Must not know: services, plans and nodes.
"""
