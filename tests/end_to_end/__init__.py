"""End-to-end tests: the command line on local nodes and on hosts."""
