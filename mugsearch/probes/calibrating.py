"""Measuring how high people score who are not in the gallery (see `calibration`).

One photograph of each of some people drawn at random is searched, as a probe would be, and whatever is found of the
same person is left out: so it is a search for somebody who is not there, and the best that remains is a false positive
at every threshold up to its score. Somebody who is in the gallery under two person numbers counts as two people: it
errs on the high side.

Loads the search kernel: for the command line and the search worker, not for web processes.
"""

import secrets
from collections.abc import Callable, Iterator

import numpy as np
from django.db.models import BinaryField, Count, F, Func, Max, Value
from numpy.typing import NDArray

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.engine.index import FaceIndex, Found
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import encoding, filling, locks
from mugsearch.gallery.models import Encoder, Template
from mugsearch.probes import ranking
from mugsearch.probes.calibration import DECIMALS, has_drifted
from mugsearch.probes.models import Calibration

SAMPLE = 2000  # people: a rate of 1 in 667 or more is seen at least once in 95 of 100 measurements (3/n)
MOST = 20_000  # people: all scores are read with every page that shows a rate
BATCH = 64  # vectors multiplied at once


def calibrate(
    *, by: User, people: int = SAMPLE, seed: str = "", report: Callable[[int, int], None] | None = None
) -> Calibration:
    """Measure with so many people, or everybody where there are fewer, and record it. `report`: done, of how many.

    Nothing is recorded before all searches are made, so whoever stops it leaves nothing.
    """
    _allow(by)
    if not 1 <= people <= MOST:
        raise BadInput(f"Measure with 1 to {MOST:,} people.")
    encoder, seed = encoding.active(), seed or secrets.token_hex(8)
    drawn = draw(encoder, people, seed)
    scores: list[float] = []
    states: list[Found] = []
    for start in range(0, len(drawn), BATCH):
        for found, best in _searched(encoder, drawn[start : start + BATCH]):
            states.append(found)
            if best is not None:
                scores.append(round(best, DECIMALS))
        if report:
            report(min(start + BATCH, len(drawn)), len(drawn))
    with audit.act("calibration.made", by=by, seed=seed) as act:
        _require_something(scores, states)
        locks.writing()
        if not Encoder.objects.filter(pk=encoder.pk, state=Encoder.State.ACTIVE).exists():
            raise WrongState("The encoder was changed during the measurement; measure again.")
        said = {"generation": states[0].generation, "gallery_size": states[0].live, "people": len(scores)}
        made = Calibration.objects.create(encoder=encoder, seed=seed, scores=sorted(scores), made_by=by, **said)
        act.obj = made
        act.note(**said, encoder=encoder.name, encoder_digest=encoder.digest, left_out=len(drawn) - len(scores))
    return made


def draw(encoder: Encoder, people: int, seed: str) -> list[int]:
    """One searchable template each of so many people. Everybody is equally likely, and so are the photographs of each.

    The order is that of digests with the seed: the same people and photographs as long as the gallery is the same.
    """
    person = "photo__booking__person_id"
    searchable = Template.objects.searchable().filter(encoder=encoder)
    one_each = searchable.order_by(person, _by_chance(seed, "pk")).distinct(person)
    drawn = Template.objects.filter(pk__in=one_each.values("pk")).order_by(_by_chance(seed, person))
    return list(drawn.values_list("pk", flat=True)[:people])


def _by_chance(seed: str, field: str) -> Func:
    template = "sha256(convert_to(concat(%(expressions)s), 'UTF8'))"
    return Func(Value(f"{seed} "), F(field), template=template, output_field=BinaryField())


def _allow(by: User) -> None:
    try:
        require(by, Role.ADMINISTRATOR)
    except NotAllowed as error:
        audit.refuse("calibration.made", by=by, reason=error.code)
        raise


def _require_something(scores: list[float], states: list[Found]) -> None:
    if not scores:
        raise WrongState("The gallery holds photographs of fewer than two people: there is nobody to be mistaken for.")
    before, after = states[0].live, states[-1].live
    if has_drifted(after, before):
        raise WrongState(
            f"The gallery went from {before:,} to {after:,} photographs during the measurement. Measure again when it "
            "stays as it is."
        )


def _searched(encoder: Encoder, drawn: list[int]) -> Iterator[tuple[Found, float | None]]:
    """For each of those who are still there the search, and the best score of somebody else; None: nobody else is."""
    with filling.unsealed(list(filling.templates(encoder).filter(pk__in=drawn)), encoder) as (ids, rows, _):
        if len(ids):
            yield from _best(encoder, ids, rows, depth=1 + _most_photos(encoder, drawn))


def _best(
    encoder: Encoder, ids: NDArray[np.int64], rows: NDArray[np.float32], *, depth: int
) -> Iterator[tuple[Found, float | None]]:
    """Whose the photographs found are is read after the search, so no photograph that came meanwhile is taken for
    somebody else's, and whoever is expunged meanwhile is neither searched nor found."""
    answers = _answers(encoder, rows, depth)
    owners = _owners([*ids.tolist(), *(hit.id for answer in answers for hit in answer.hits)])
    for at, (pk, answer) in enumerate(zip(ids.tolist(), answers, strict=True)):
        own = owners.get(pk)
        if own is None:
            continue
        best = next((hit.score for hit in answer.hits if owners.get(hit.id, own) != own), None)
        if best is None and len(answer.hits) == depth:  # more photographs of this person have come, or people gone
            yield from _best(encoder, ids[at : at + 1], rows[at : at + 1], depth=4 * depth)
        else:
            yield answer, best


def _answers(encoder: Encoder, rows: NDArray[np.float32], depth: int) -> list[Found]:
    """Of one state of the index, a whole one."""
    answers: list[Found] = []

    def question(index: FaceIndex) -> Found:
        answers[:] = index.search_many(rows, depth)
        return answers[0]

    ranking.ask(encoder, question)
    return answers


def _most_photos(encoder: Encoder, drawn: list[int]) -> int:
    """That any of these people has."""
    people = Template.objects.filter(pk__in=drawn).values("photo__booking__person")
    theirs = Template.objects.filter(encoder=encoder, photo__booking__person__in=people)
    each = theirs.order_by().values("photo__booking__person").annotate(photos=Count("pk"))
    return each.aggregate(most=Max("photos"))["most"] or 0


def _owners(ids: list[int]) -> dict[int, object]:
    """The person behind each template that may be searched."""
    searchable = Template.objects.searchable().filter(pk__in=set(ids))
    return dict(searchable.values_list("pk", "photo__booking__person"))
