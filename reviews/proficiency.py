"""How often an examiner is wrong, and how far two agree. Pure: no database, no clock."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from mugsearch.probes.intervals import wilson


@dataclass(frozen=True)
class Answer:
    """What one examination said of a trial. `named`: whom it names; `mate`: whom it was to name, if anybody."""

    named: frozenset[UUID]
    mate: UUID | None
    candidates: frozenset[UUID]

    @property
    def missed(self) -> bool | None:
        """The person was there and wasn't named. None where there was nobody to miss."""
        return None if self.mate is None else self.mate not in self.named

    @property
    def false_lead(self) -> bool:
        """Somebody else was named, in whatever kind of trial."""
        return bool(self.named - {self.mate})


@dataclass(frozen=True)
class Rate:
    """`errors` of `tried`, with Wilson's interval of 95 % (Wilson 1927). Without a try nothing is known: 0 to 1."""

    errors: int
    tried: int

    @property
    def share(self) -> float | None:
        return self.errors / self.tried if self.tried else None

    @property
    def low(self) -> float:
        return self._interval()[0]

    @property
    def high(self) -> float:
        return self._interval()[1]

    def _interval(self) -> tuple[float, float]:
        return wilson(self.errors, self.tried) if self.tried else (0.0, 1.0)


def misses(answers: Collection[Answer]) -> Rate:
    """Among the mated trials (a false non-identification)."""
    mated = [answer.missed for answer in answers if answer.missed is not None]
    return Rate(sum(mated), len(mated))


def false_leads(answers: Collection[Answer]) -> Rate:
    """Among all trials (a false identification)."""
    return Rate(sum(answer.false_lead for answer in answers), len(answers))


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa (Cohen 1960) of "names or does not name", over the candidates that two people looked at.

    1: they always agree; 0: as often as by chance. None where it is not defined: both said the same of everybody.
    """

    candidates: int
    kappa: float | None


def agreement(pairs: Iterable[tuple[Answer, Answer]]) -> Agreement:
    """Over all candidates of trials that both examined."""
    both = first_only = second_only = total = 0
    for one, other in pairs:
        both += len(one.named & other.named)
        first_only += len(one.named - other.named)
        second_only += len(other.named - one.named)
        total += len(one.candidates)
    if not total:
        return Agreement(0, None)
    observed = (total - first_only - second_only) / total
    first, second = (both + first_only) / total, (both + second_only) / total
    by_chance = first * second + (1 - first) * (1 - second)
    return Agreement(total, (observed - by_chance) / (1 - by_chance) if by_chance < 1 else None)


def below(rate: Rate, *, percent: int, judged: int) -> bool:
    """Whether a rate is worse than the policy's bar, once there are enough tries to say so."""
    return rate.tried >= judged and rate.errors * 100 > percent * rate.tried
