"""The shared store: its objects, and the protocol on them under any interleaving, fault and death."""
