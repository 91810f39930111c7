"""What a score says, by measurement: the share of searches for people who are NOT in the gallery that return somebody
at this score or above all the same (FPIR; NIST FRTE 1:N, ISO/IEC 19795-1).

It is shown beside a score, so only where a score may be shown: nobody learns it before an examination is over.
`of_search` is the only way to it. `calibrating` makes the measurement.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from mugsearch.probes.intervals import wilson
from mugsearch.probes.models import Calibration, Search

DECIMALS = 4  # of the scores that are kept
THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(11))  # of the table: 0.20 to 0.70
DRIFT = 0.2  # a gallery that much larger or smaller than the one measured is told to the reader
LIKE_BOOKINGS = (
    "It was measured with booking photographs as probes. A picture of another kind, such as a still of a camera, may "
    "behave differently."
)
PERCENT = "\N{NO-BREAK SPACE}%"
SURE = f"95{PERCENT}"


@dataclass(frozen=True)
class Rate:
    """`count` of `searches` people who were not there got somebody all the same; `low` to `high`: 95 % interval."""

    count: int
    searches: int
    rate: float
    low: float
    high: float

    @property
    def words(self) -> str:
        share = "1 search" if self.searches == 1 else f"{self.searches:,} searches"
        if self.count == 0:
            return f"below {percent(self.high)} with {SURE} confidence, 0 of {share}"
        interval = f"{SURE} interval {percent(self.low)} to {percent(self.high)}"
        return f"{percent(self.rate)}, {self.count:,} of {share} ({interval})"


@dataclass(frozen=True)
class FalsePositives:
    """The rate at one score of a search, what it was measured on, and what to keep in mind about it."""

    rate: Rate
    calibration: Calibration
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """What the scores of one search are read by; without a calibration nothing can be said of them."""

    calibration: Calibration | None
    caveats: tuple[str, ...] = ()

    def at(self, score: float | None) -> FalsePositives | None:
        """None where nothing was measured, and of a tombstone, which has no score."""
        if self.calibration is None or score is None:
            return None
        return FalsePositives(fpir(self.calibration.scores, score), self.calibration, self.caveats)


def fpir(scores: Sequence[float], threshold: float) -> Rate:
    """Of the searches whose best scores are `scores` (ascending, to DECIMALS), how many reach `threshold`.

    The threshold is rounded as the scores are, so that a search which reaches it always counts. The interval is
    Wilson's, but for no search at all: then it ends at 3/n (rule of three). ValueError when there are no scores.
    """
    tries = len(scores)
    if not tries:
        raise ValueError("no search was made")
    count = tries - bisect_left(scores, round(threshold, DECIMALS))
    rate = count / tries
    if not count:
        return Rate(0, tries, 0.0, 0.0, min(1.0, 3 / tries))
    return Rate(count, tries, rate, *wilson(count, tries))


def of_search(search: Search) -> Measured:
    """The latest measurement with the encoder of the search. Only for readers who may know its scores."""
    latest = Calibration.objects.filter(encoder=search.encoder_id).first()
    return Measured(latest, (LIKE_BOOKINGS, *_differences(search, latest))) if latest else Measured(None)


def table(calibration: Calibration) -> list[tuple[float, Rate]]:
    return [(threshold, fpir(calibration.scores, threshold)) for threshold in THRESHOLDS]


def has_drifted(size: int, measured: int) -> bool:
    return abs(size - measured) > DRIFT * measured


def _differences(search: Search, measured: Calibration) -> list[str]:
    """How the search differed from those that were measured, in words."""
    size, told = _compared(search, measured), []
    if has_drifted(size, measured.gallery_size):
        more, expect = ("more", "higher") if size > measured.gallery_size else ("fewer", "lower")
        told.append(
            f"This search had {size:,} photographs to compare with, {more} than the {measured.gallery_size:,} of the "
            f"measurement, so its rate is probably {expect}."
        )
    if search.filters:
        told.append("This search was narrowed; the measurement compared with the whole gallery.")
    return told


def _compared(search: Search, measured: Calibration) -> int:
    """With how many photographs. Of a trial, which had no gallery: as many as casework had then, or it would tell."""
    if search.trial_id is None:
        return search.gallery_size or 0
    casework = (
        Search.objects.finished().casework().filter(encoder=search.encoder_id, finished_at__lte=search.finished_at)
    )
    latest = casework.order_by("-finished_at").values_list("gallery_size", flat=True).first()
    return latest or measured.gallery_size


def percent(share: float) -> str:
    """With about two digits: 12 %, 1.3 %, 0.045 %."""
    value = 100 * share
    for least, digits in ((99.95, 0), (10, 1), (1, 1), (0.1, 2)):
        if value >= least:
            return f"{value:.{digits}f}{PERCENT}"
    return f"{value:.2g}{PERCENT}"
