"""Real nodes, tested as machines."""
