"""Reads over REST that leave an entry: looking somebody up is an act, too (AU-2)."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from mugsearch.audit import services as audit


class Recorded:
    """Put before a generic view: `class People(Recorded, generics.ListAPIView)` with `thing = "person"`.

    A list leaves `<thing>.listed` with the ids that were sent, one object leaves `<thing>.viewed`.
    """

    thing: str

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().list(request, *args, **kwargs)  # type: ignore[misc]  # the generic view's
        sent = response.data["results"] if isinstance(response.data, dict) else response.data
        audit.record(f"{self.thing}.listed", by=request.user, shown=[str(row["id"]) for row in sent])
        return response

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        audit.record(f"{self.thing}.viewed", by=request.user, obj=self.get_object())  # type: ignore[attr-defined]
        response: Response = super().retrieve(request, *args, **kwargs)  # type: ignore[misc]  # the generic view's
        return response
