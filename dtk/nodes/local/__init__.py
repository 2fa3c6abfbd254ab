"""The target local: nodes on this machine, each an SSH server of its own."""
