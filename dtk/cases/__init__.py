"""A module's own tests: golden plans, and tasks on local nodes with commands that fail as a test says."""
