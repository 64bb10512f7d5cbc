"""The answers of the commands for a model that is built."""
