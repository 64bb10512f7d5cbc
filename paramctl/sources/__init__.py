"""The MODEL argument -> a source of what is asked about it."""
