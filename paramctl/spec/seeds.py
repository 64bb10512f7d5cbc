"""Which seeds there are: known to the check of every command line, and so apart from what a spec is."""

from typing import Final

MIN_SEED: Final = -(2**63)
MAX_SEED: Final = 2**64 - 1
"""The seeds that `torch.manual_seed` takes."""
