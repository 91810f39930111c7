"""Looking people up, as records staff do: by what is on a paper in front of them."""

import datetime

from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from mugsearch.accounts.models import User
from mugsearch.errors import BadInput
from mugsearch.gallery import identity
from mugsearch.gallery.models import Booking, Person, PersonQuerySet, Photo


def find_people(user: User, text: str, born: datetime.date | None = None) -> PersonQuerySet:
    """People the user may see whose person id or booking number, in any spelling, or whose name this is; a name is
    found with the day of birth only. Without either, everybody, the newest first.

    Each row carries `bookings_count`, and `picture`: the id of the newest enrolled photo, or None. Raises BadInput.
    """
    people = Person.objects.visible_to(user)
    text = text.replace("\0", "").strip()
    if born and not text:
        raise BadInput("Enter the name that goes with the date of birth.")
    if text:
        booked = Booking.objects.visible_to(user).numbered(text)
        named = identity.of_names_in(text, born) if born else []
        people = people.filter(
            Q(id_digest=identity.of_person(text)) | Q(pk__in=booked.values("person")) | Q(name_digest__in=named)
        )
    if born:
        people = people.filter(birth_year=born.year)
    # Looked up for the rows of a page, not joined: PostgreSQL would count for everybody it finds.
    bookings = Booking.objects.filter(person=OuterRef("pk")).order_by().values("person")
    newest = Photo.objects.enrolled().filter(booking__person=OuterRef("pk")).order_by("-booking__booked_on", "pk")
    found: PersonQuerySet = people.annotate(
        bookings_count=Coalesce(Subquery(bookings.annotate(count=Count("pk")).values("count")), 0),
        picture=Subquery(newest.values("pk")[:1]),
    ).order_by("-created_at", "pk")
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
