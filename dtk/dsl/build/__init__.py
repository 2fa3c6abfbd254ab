"""Checked documents turned into the frozen model: components, assemblies, workflows, attributes, actions.

In: data that its schema accepted. Out: objects of `dtk.model`, and problems the schema cannot express. Must not know:
whether what a name refers to exists; that is for `dsl.check`.
"""
