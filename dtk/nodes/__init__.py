"""Where nodes come from: the targets local and hosts."""
