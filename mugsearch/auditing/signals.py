"""The misuse signals: why each matters, what innocent reasons there are, and its query. They point, they never punish.

No signal adds up to a score of a person and nobody is ranked: each row is one thing that somebody should look at, and
most have an innocent reason. What is drawn is kept (`Sighting`), so that what was explained stays on record.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from inspect import getsource
from typing import Final
from uuid import UUID

from mugsearch.auditing import signal_queries as queries
from mugsearch.auditing.signal_queries import Row

Query = Callable[[dict[str, int], datetime, datetime], Iterable[Row]]
RANDOM: Final = "random"


@dataclass(frozen=True)
class Signal:
    """`query(thresholds of the policy, start of the day, start of the next)` gives what the day shows."""

    name: str
    title: str
    why: str
    innocent: str
    counted: str  # what `count` counts, after the number
    query: Query
    usual: str = ""  # what `usual` is, before the number
    limits: str = ""  # what it can't see

    @property
    def source(self) -> str:
        return getsource(self.query)


SIGNALS: Final = (
    Signal(
        "case-searches",
        "Many searches on one case",
        "A case number that everything is searched under may hide searches that belong to no case.",
        "A large case with many images, or several faces in each.",
        "searches on the case in seven days",
        queries.many_searches_on_one_case,
    ),
    Signal(
        "old-case",
        "An old case number used again",
        "The number of a case that nobody works on any more may be borrowed for a search of one's own.",
        "A cold case taken up again, or new evidence.",
        "days since the search before",
        queries.old_case_used_again,
        limits="The service isn't told when a case is closed elsewhere: it goes by the case's last search.",
    ),
    Signal(
        "same-face",
        "The same booking first on lists of different cases",
        "Somebody may follow one person through case numbers that have nothing to do with them.",
        "One person suspected in a series of cases.",
        "cases of this person's searches, in 90 days",
        queries.same_booking_under_different_cases,
        limits="Probes are not compared with each other: that would be a new biometric search of everybody ever "
        "searched for. Only whose booking came first is compared, so a person who isn't in the gallery is not seen, "
        "and a person who was expunged or sealed isn't either.",
    ),
    Signal(
        "same-file",
        "The same image file under different cases",
        "One image belongs to one case as a rule; under another number it may be searched for another purpose.",
        "One recording that shows two crimes; an image uploaded under a wrong number first.",
        "cases with this file, in 90 days",
        queries.same_file_under_different_cases,
        limits="Files are compared by their digest: the same picture saved anew is another file.",
    ),
    Signal(
        "night-work",
        "Night work out of pattern",
        "Searches made for oneself tend to be made when nobody is there.",
        "A change of shifts, an emergency, overtime.",
        "acts at night",
        queries.night_work,
        usual="the share of this person's acts of the 90 days before that were at night, in percent",
    ),
    Signal(
        "views-without-search",
        "Views without a search",
        "Looking at results again and again without asking for a search may be curiosity.",
        "A colleague's holiday cover, or work on a shared case.",
        "looks at the case in seven days, and none of its searches asked for in 90",
        queries.views_without_a_search,
        limits="Examiners' looks at what they examine and auditors' looks are not counted: they are their work.",
    ),
    Signal(
        "own-median",
        "Several times one's own median",
        "A sudden change in how much somebody searches is worth a question, whatever others do.",
        "A new task, a large case, a week after a holiday.",
        "searches in seven days",
        queries.above_own_median,
        usual="this person's median of the twelve weeks before, of those with a search",
        limits="It is compared with nobody else. Whoever always searches a lot is not seen.",
    ),
    Signal(
        "pair",
        "Two examiners together too often",
        "Two independent examinations are worth less if the same two people choose each other's.",
        "Few examiners, shared shifts, or different hours than the others.",
        "searches examined by both, in 90 days",
        queries.pair_too_often,
        usual="what chance would have",
        limits="Chance is n1·n2/2 · (1/(2N−n1) + 1/(2N−n2)) of N searches examined by two, of which one examined n1 "
        "and the other n2. It knows nothing of shifts. Only what is also three standard deviations above it is shown.",
    ),
    Signal(
        "self-or-colleague",
        "A search of oneself or a colleague",
        "Looking up people one knows is the commonest misuse of police data.",
        "Somebody of the same name; an employee who is a suspect or a witness.",
        "searches or look-ups with somebody of an employee's name first",
        queries.self_or_colleague,
        limits="Names only: whoever is first on a list, or was opened by records staff, has the same names as "
        "somebody with an account. Whose name it is isn't kept and isn't shown, here or anywhere. It doesn't see an "
        "employee who isn't in the gallery, nor one whose name is written in another way.",
    ),
    Signal(
        RANDOM,
        "Drawn at random",
        "Nobody can know which searches will be looked at.",
        "All of them: it points at nothing.",
        "search",
        queries.random_sample,
        limits="Drawn by a keyed digest of the search's id: who doesn't hold the key can't foresee or choose it.",
    ),
)
BY_NAME: Final = {signal.name: signal for signal in SIGNALS}


def key_of(row: Row) -> str:
    """Of what it points at. `row.about` tells apart what the other columns don't; nobody gets it back out of this."""
    parts: tuple[UUID | str | None, ...] = (row.actor, row.other, row.case, row.search, row.about)
    return sha256("/".join(str(part or "") for part in parts).encode()).hexdigest()
