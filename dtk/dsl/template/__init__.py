"""Templates: sandboxed Jinja2 that refuses undefined names and quotes values in shell commands.

In: a text and the values it may use. Out: a value, or a problem with its location. Must not know: where values come
from.
"""
