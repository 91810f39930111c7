"""Pages of lists as long as the gallery."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from rest_framework.pagination import PageNumberPagination


class LongPaginator(Paginator):  # type: ignore[type-arg]  # it takes no argument when it runs
    """Looks for the keys of a page first, which an index alone can tell, and reads only the rows of these. Else all
    that comes before the page would be read too, with what is looked up for each row."""

    object_list: QuerySet[Any]

    def page(self, number: int | str) -> "Page[Any]":
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        keys = list(self.object_list.values_list("pk", flat=True)[start : start + self.per_page])
        rows = self.object_list.in_bulk(keys)
        return Page([rows[key] for key in keys if key in rows], number, self)


class LongPages(PageNumberPagination):
    """The same for the API."""

    django_paginator_class = LongPaginator
