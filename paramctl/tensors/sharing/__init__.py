"""Live models and checkpoints -> what shares memory, is equal, and survives."""
