"""Whose file has to be there: the names of the vault's files that rows speak of."""

from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from mugsearch.gallery.models import Photo
from mugsearch.probes.models import Probe, ProbeEdit
from mugsearch.trials.models import TrialPhoto


def names(cursor: Any = None) -> set[UUID]:
    """As the cursor sees it; without one, as it is now."""
    found: set[UUID] = set()
    for rows in _rows():
        sql, parameters = rows.values_list("pk").order_by().query.sql_with_params()
        if cursor is None:
            with connection.cursor() as own:
                own.execute(sql, parameters)
                found.update(pk for (pk,) in own.fetchall())
        else:
            cursor.execute(sql, parameters)
            found.update(pk for (pk,) in cursor.fetchall())
    return found


def _rows() -> "list[QuerySet[Any]]":
    return [
        Photo.objects.all(),
        Probe.objects.exclude(state=Probe.State.ERASED),
        ProbeEdit.objects.exclude(state=Probe.State.ERASED),
        TrialPhoto.objects.exclude(state=TrialPhoto.State.ERASED),
    ]
