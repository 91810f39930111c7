"""The change log that keeps every index in step with PostgreSQL. Call inside the transaction of the change."""

from collections.abc import Sequence

from django.db.models import Max

from mugsearch.gallery import locks
from mugsearch.gallery.models import GalleryChange, Template


def put(templates: Sequence[Template]) -> int:
    """New vectors, to be searchable from the commit on. Returns the last number given out."""
    return _append(GalleryChange.What.PUT, templates)


def drop(templates: Sequence[Template]) -> int:
    """Vectors whose rows are being deleted. Returns the last number: an index that has applied it holds none."""
    return _append(GalleryChange.What.DROP, templates)


def latest() -> int:
    """The number of the last committed change; 0 when there was none."""
    return GalleryChange.objects.aggregate(last=Max("number"))["last"] or 0


def _append(what: GalleryChange.What, templates: Sequence[Template]) -> int:
    locks.numbering_changes()
    last = latest()
    GalleryChange.objects.bulk_create(
        GalleryChange(number=number, what=what, template_id=template.pk, encoder_id=template.encoder_id)
        for number, template in enumerate(templates, start=last + 1)
    )
    return last + len(templates)
