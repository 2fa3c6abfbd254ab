"""The target local: nodes on this machine, each with its own SSH server.

In: requests for machines. Out: processes with their own folder, address and keys. Must not know: what runs on them.
"""
