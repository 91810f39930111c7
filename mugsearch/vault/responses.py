from django.http import HttpResponse


def image(data: bytes, content_type: str = "image/jpeg") -> HttpResponse:
    """A photograph for the person asking, now: no cache keeps it (NoStoreMiddleware), no browser guesses its type."""
    return HttpResponse(data, content_type=content_type, headers={"X-Content-Type-Options": "nosniff"})
