"""Specs, Python code and checkpoints -> live models, and what a failure in their code says."""
