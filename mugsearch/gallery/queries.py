"""Looking people up, as records staff do: by what is on a paper in front of them."""

import datetime
import re
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Upper

from mugsearch.accounts.models import User
from mugsearch.errors import BadInput
from mugsearch.gallery.models import Booking, Person, PersonQuerySet, Photo
from mugsearch.gallery.numbers import normalised

MOST_WORDS = 6
# People whose booking number holds a word: so many are named to PostgreSQL one by one.
FEW = 1000


def find_people(user: User, text: str, born: datetime.date | None = None) -> PersonQuerySet:
    """People the user may see. Every word has to be found in the name, the person id or a booking number.

    Each row carries `bookings_count`, and `picture`: the id of the newest enrolled photo, or None. Raises BadInput.
    """
    people = Person.objects.visible_to(user)
    if born:
        people = people.filter(date_of_birth=born)
    for word in words(text):
        people = people.filter(Q(told__contains=Upper(Value(word))) | Q(pk__in=_booked_under(user, word)))
    # Looked up for the rows of a page, not joined: PostgreSQL would count for everybody it finds.
    bookings = Booking.objects.filter(person=OuterRef("pk")).order_by().values("person")
    newest = Photo.objects.enrolled().filter(booking__person=OuterRef("pk")).order_by("-booking__booked_on", "pk")
    found: PersonQuerySet = people.annotate(
        bookings_count=Coalesce(Subquery(bookings.annotate(count=Count("pk")).values("count")), 0),
        picture=Subquery(newest.values("pk")[:1]),
    ).order_by("family_name", "given_names", "person_id")
    return found


def _booked_under(user: User, word: str) -> "set[UUID] | QuerySet[Booking, UUID]":
    """The people with a booking whose number holds the word. A few are named, because PostgreSQL takes an "or" with
    a subquery for something that finds everybody, and chooses the wrong way for a name that is rare."""
    bookings = Booking.objects.visible_to(user).filter(normalised_number__contains=normalised(word))
    people = bookings.order_by().values_list("person_id", flat=True)
    few = set(people[: FEW + 1])
    return few if len(few) <= FEW else people


def words(text: str) -> list[str]:
    found = [word for word in re.split(r"[\s,]+", text.replace("\0", "")) if word]
    if len(found) > MOST_WORDS:
        raise BadInput(f"Look for at most {MOST_WORDS} words at once.")
    return found


def next_undecided(user: User, after: Photo | None = None) -> Photo | None:
    """The photo a clerk looks at next: the oldest after the given one, else the oldest of all."""
    undecided = Photo.objects.visible_to(user).undecided().order_by("created_at", "pk")
    if after is not None:
        undecided = undecided.exclude(pk=after.pk)
        later = Q(created_at__gt=after.created_at) | Q(created_at=after.created_at, pk__gt=after.pk)
        if found := undecided.filter(later).first():
            return found
    return undecided.first()
