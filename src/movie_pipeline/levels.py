"""Categories of popularity and rating, as half-open intervals over the real numbers.

The labels are the seed's, accents and capitals included. Each tuple lists (lower bound, label) from the top
down; a value gets the first label whose bound it passes. Popularity passes a bound by exceeding it (5 exactly
is `Muy Baja`), a rating by reaching it (8 exactly is `Excelente`).
"""

from typing import NamedTuple


class Levels(NamedTuple):
    """One set of categories: bounds from the top down, and the label below them all."""

    bounds: tuple[tuple[float, str], ...]
    lowest: str
    includes_bound: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, highest first."""
        return (*(label for _, label in self.bounds), self.lowest)

    def label(self, value: float | None) -> str | None:
        """Return the label of one value, None for None.

        The reference form: `transform.star` does the same for a whole column.
        """
        if value is None:
            return None
        for bound, label in self.bounds:
            if value > bound or (self.includes_bound and value == bound):
                return label
        return self.lowest


POPULARITY = Levels(((20, "Alta"), (10, "Media"), (5, "Baja")), "Muy Baja", includes_bound=False)
RATING = Levels(((8, "Excelente"), (6, "Buena"), (4, "Regular")), "Mala", includes_bound=True)
