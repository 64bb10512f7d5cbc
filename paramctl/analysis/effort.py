"""How much work the questions about one model's memory may take together."""

from __future__ import annotations

MOST_WORK = 2**19
"""The pieces that the questions about one model may be cut into together. Views of one tensor take a few for each, and
those are free; only strides that have nothing to do with each other take as many as they have elements."""


class TooIrregularError(Exception):
    """A question would take more pieces to answer than are left."""


class Effort:
    """The pieces that some questions may be cut into together.

    Attributes:
        left: how many are left; negative once a question has been given up, and then only easy ones are answered.

    """

    def __init__(self) -> None:
        self.left = MOST_WORK

    @property
    def is_spent(self) -> bool:
        """Whether a question has been given up."""
        return self.left < 0

    def spend(self, pieces: int) -> None:
        """Take pieces.

        Raises:
            TooIrregularError: if so many are not left.

        """
        self.left -= pieces
        if self.left < 0:
            raise TooIrregularError
