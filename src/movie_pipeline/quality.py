"""Counted findings about the films, and floors below which somebody should look.

A floor never stops a run: a breach is a warning in the log, the report and the database. The numbers are low on
purpose. They are reached by TMDB's whole catalogue, where most films have no known money, and are missed when a
field stops arriving.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from movie_pipeline.ports import Finding

UNKNOWN_BUDGET = "unknown_budget"
UNKNOWN_REVENUE = "unknown_revenue"
MONEY_IN_MILLIONS = "money_in_millions"
UNKNOWN_DATE = "unknown_release_date"
IMPLAUSIBLE_DATE = "implausible_release_date"
UNRATED = "unrated"
NO_GENRE = "no_genre"
NO_DIRECTOR = "no_director"
NO_CAST = "no_cast"
NO_COMPANY = "no_company"
UNKNOWN_GENRE = "unknown_genre"
NAMESAKES = "namesakes"
SAME_TITLE = "same_title"

CATALOGUE_FINDINGS = (
    UNKNOWN_BUDGET,
    UNKNOWN_REVENUE,
    MONEY_IN_MILLIONS,
    UNKNOWN_DATE,
    IMPLAUSIBLE_DATE,
    UNRATED,
    NO_GENRE,
    NO_DIRECTOR,
    NO_CAST,
    NO_COMPANY,
    UNKNOWN_GENRE,
    NAMESAKES,
    SAME_TITLE,
)
"""What a catalogue counts: films, but people for `namesakes` (names that several TMDB ids bear)."""

MILLIONS_BELOW = 1_000
"""A budget or revenue of 1 to 999 dollars was almost surely typed in millions; it is counted, never corrected."""
FIRST_FILM_YEAR = 1874
"""Oldest film that TMDB knows (Passage de Vénus); earlier is implausible, and so is more than ten years ahead."""
YEARS_AHEAD = 10
TMDB_GENRES = frozenset((12, 14, 16, 18, 27, 28, 35, 36, 37, 53, 80, 99, 878, 9648, 10402, 10749, 10751, 10752, 10770))
"""The 19 ids of TMDB's list of film genres."""

FLOORS: Mapping[str, float] = {
    UNKNOWN_BUDGET: 0.98,
    UNKNOWN_REVENUE: 0.98,
    MONEY_IN_MILLIONS: 0.02,
    UNKNOWN_DATE: 0.20,
    IMPLAUSIBLE_DATE: 0.001,
    UNRATED: 0.75,
    NO_GENRE: 0.40,
    NO_DIRECTOR: 0.30,
    NO_CAST: 0.50,
    UNKNOWN_GENRE: 0.05,
}
"""Largest share of all films that a finding may have before it is a breach."""


@dataclass(frozen=True)
class Verdict:
    """A finding beside its share of the films and its floor (both None where a share means nothing)."""

    name: str
    count: int
    share: float | None
    allowed: float | None
    breached: bool
    detail: str | None

    @property
    def told(self) -> str | None:
        """What the database keeps beside the count: the example, and for a breach the share and its floor."""
        if not self.breached:
            return self.detail
        breach = f"{self.share:.1%} of the films, floor {self.allowed:.1%}"
        return f"{breach}; {self.detail}" if self.detail else breach


def judge(findings: Iterable[Finding], films: int) -> list[Verdict]:
    """Compare each finding with its floor; with no films nothing is breached but nothing is proved either."""
    return [_verdict(finding, films) for finding in findings]


def _verdict(finding: Finding, films: int) -> Verdict:
    allowed = FLOORS.get(finding.name)
    share = finding.count / films if films and finding.name != NAMESAKES else None
    breached = allowed is not None and share is not None and share > allowed
    return Verdict(finding.name, finding.count, share, allowed, breached, finding.detail)
