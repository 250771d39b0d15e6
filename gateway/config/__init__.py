"""Configuration: one YAML file, decoded strictly into frozen Structs."""
