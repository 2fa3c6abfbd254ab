"""YAML documents: parsed with positions, validated against their schemas, edited in place.

In: the text of a document. Out: plain data in which each key and value has its line and column, or located problems;
for edits, the same text with one entry changed. Must not know: what a module or a service means.
"""
