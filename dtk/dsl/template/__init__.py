"""Templates: Jinja2 in a sandbox, strict about undefined names, quoting what goes into a shell command.

In: a text and the values it may name. Out: a value, or a located problem. Must not know: where values come from.
"""
