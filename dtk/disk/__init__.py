"""Files that are consistent after any crash, and whose content is on disk when the writer says so.

In: paths and bytes. Out: files written whole, and appended lines. Must not know: what the files contain.
"""
