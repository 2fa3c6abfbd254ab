"""What is on disk: the workspace, state documents, locks."""
