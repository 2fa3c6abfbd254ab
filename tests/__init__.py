"""What dtk does, shown through its real command line and real parts; docs/testing.md says how to run it."""
