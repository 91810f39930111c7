"""Looking people up, as records staff do: by what is on a paper in front of them."""

import datetime
import re

from django.db.models import Count, Exists, OuterRef, Q, Subquery

from mugsearch.accounts.models import User
from mugsearch.errors import BadInput
from mugsearch.gallery.models import Booking, Person, PersonQuerySet, Photo
from mugsearch.gallery.numbers import normalised

MOST_WORDS = 6


def find_people(user: User, text: str, born: datetime.date | None = None) -> PersonQuerySet:
    """People the user may see. Every word has to be found in the name, the person id or a booking number.

    Each row carries `bookings_count`, and `picture`: the id of the newest enrolled photo, or None. Raises BadInput.
    """
    people = Person.objects.visible_to(user)
    if born:
        people = people.filter(date_of_birth=born)
    for word in words(text):
        # Exists and no join: every word would add one more, and the rows multiply.
        numbered = Booking.objects.filter(person=OuterRef("pk"), normalised_number__contains=normalised(word))
        people = people.filter(
            Q(family_name__icontains=word)
            | Q(given_names__icontains=word)
            | Q(person_id__icontains=word)
            | Exists(numbered)
        )
    newest = Photo.objects.enrolled().filter(booking__person=OuterRef("pk")).order_by("-booking__booked_on", "pk")
    found: PersonQuerySet = (
        Person.objects.filter(pk__in=people.values("pk"))
        .annotate(bookings_count=Count("bookings"), picture=Subquery(newest.values("pk")[:1]))
        .order_by("family_name", "given_names", "person_id")
    )
    return found


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
