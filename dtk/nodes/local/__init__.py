"""The target local: nodes on this machine, each an SSH server of its own.

In: requests for machines. Out: processes with their own folder, address and keys. Must not know: what runs on them.
"""
