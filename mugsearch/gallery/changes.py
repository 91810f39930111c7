"""The change log that keeps every index in step with PostgreSQL. Call inside the transaction of the change."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from django.db.models import Max, Q

from mugsearch.gallery import locks
from mugsearch.gallery.models import GalleryChange, Template

# What searches filter by, of a person and of a booking, and what the index therefore holds a copy of.
SEARCHED_BY: Final = frozenset({"sex", "date_of_birth", "booked_on"})


def put(templates: Sequence[Template]) -> int:
    """Vectors that are new or of an unsealed booking, to be searchable from the commit on. Returns the last number
    given out. Those of sealed bookings are passed over."""
    searchable = Template.objects.searchable().filter(pk__in=[template.pk for template in templates])
    return _append(GalleryChange.What.PUT, searchable.only("pk", "encoder").order_by("pk"))


def drop(templates: Sequence[Template]) -> int:
    """Vectors whose rows are being deleted, or whose booking is being sealed. Returns the last number: an index that
    has applied it holds none."""
    return _append(GalleryChange.What.DROP, templates)


def put_again(*, people: Iterable[UUID] = (), bookings: Iterable[UUID] = ()) -> None:
    """Something of SEARCHED_BY was corrected on these; their vectors stay as they are."""
    whose = Q(photo__booking__person__in=people) | Q(photo__booking__in=bookings)
    if templates := list(Template.objects.filter(whose).only("pk", "encoder").order_by("pk")):
        put(templates)


def latest() -> int:
    """The number of the last committed change; 0 when there was none."""
    return GalleryChange.objects.aggregate(last=Max("number"))["last"] or 0


def _append(what: GalleryChange.What, templates: Iterable[Template]) -> int:
    locks.numbering_changes()
    last = latest()
    made = GalleryChange.objects.bulk_create(
        GalleryChange(number=number, what=what, template_id=template.pk, encoder_id=template.encoder_id)
        for number, template in enumerate(templates, start=last + 1)
    )
    return last + len(made)
