"""The interactive shell: contexts, completion and history around the commands of the command line."""
