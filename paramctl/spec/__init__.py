"""YAML text -> a validated spec that keeps the position of every value; without torch."""
