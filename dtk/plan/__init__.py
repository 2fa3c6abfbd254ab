"""The compiler: modules, service and state to an explicit plan, as a pure function."""
