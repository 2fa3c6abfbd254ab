"""The module language: YAML with positions, validated and turned into the model."""
