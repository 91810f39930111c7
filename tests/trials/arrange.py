"""Material to try examiners with, looked at by the fake encoder, and trials that are due."""

from collections.abc import Iterable
from uuid import UUID

from mugsearch.accounts.models import Role, User
from mugsearch.probes.models import Search
from mugsearch.trials import services, working
from mugsearch.trials.models import Subject, Trial, TrialPhoto
from reviews import services as reviews
from reviews import trials
from reviews.models import Examination
from tests.factories import UserFactory
from tests.fakes import synthetic_photo
from tests.reviews.arrange import SAME, candidate, claim, find


def supervisor(**kwargs: object) -> User:
    return UserFactory(roles=[Role.SUPERVISOR], **kwargs)


def add(by: User, person: int, *, variants: int = 2, code: str = "") -> Subject:
    photos = [synthetic_photo(person, variant=variant) for variant in range(variants)]
    subject = services.add(
        by=by, code=code or f"S-{person}", consent="synthetic", reference="Generator 1", photos=photos
    )
    look_at_all()
    return subject


def look_at_all() -> None:
    for photo in TrialPhoto.objects.filter(state=TrialPhoto.State.RECEIVED):
        working.look_at(photo.pk)


def material(by: User, people: int = 22) -> list[Subject]:
    return [add(by, 1000 + number) for number in range(people)]


def prepare(by: User, kind: str, *, number: int = 1, pairs: int = 1) -> list[Trial]:
    return trials.prepare(by=by, counts={kind: number}, pairs=pairs, days=0)


def search_of(trial: Trial) -> Search:
    search: Search = trial.searches.get()
    return search


def people_of(trials: Iterable[Trial]) -> list[UUID]:
    """Everybody searched with or listed, as often as they are."""
    found = []
    for trial in trials:
        listed = trial.searches.first().candidates.values_list("trial_photo__subject", flat=True)
        found += {trial.photo.subject_id, *listed}
    return found


def examine(by: User, search: Search, *, naming: int | None = None) -> Examination:
    """Name who is at this rank, or nobody, and exclude the rest."""
    examination = claim(by, search)
    if naming:
        find(by, examination, candidate(search, naming), SAME)
    reviews.exclude_remaining(by=by, examination=examination)
    reviews.conclude(by=by, examination=examination)
    return examination
