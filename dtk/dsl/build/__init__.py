"""Builders from checked documents to the frozen model: components, assemblies, workflows, attributes, actions.

In: data that its schema accepted. Out: objects of `dtk.model`, and problems that the schema can't express. Must not
know: whether a name refers to something that exists; `dsl.check` checks that.
"""
