"""What every request of a browser's session passes: the limits of a session, and confirming before sensitive acts."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from mugsearch.accounts import fresh, sittings
from mugsearch.accounts.models import Sitting

GetResponse = Callable[[HttpRequest], HttpResponse]


class SittingMiddleware:
    """Nobody is signed in without a second factor, beyond a limit, or after the session was ended elsewhere."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            # Ended elsewhere: with the row its session went, so nobody is signed in any more.
            if not request.path.startswith("/api/") and (answer := _to_a_script(request)):
                return answer
        else:
            found = Sitting.objects.filter(session_key=request.session.session_key, user_id=request.user.pk).first()
            reason = "gone" if found is None else sittings.over(found)
            if reason or found is None:
                if found:
                    found.user = request.user
                    sittings.finish(found, reason=reason or "")
                logout(request)
                if answer := _to_a_script(request):
                    return answer
            else:
                request.sitting = found  # type: ignore[attr-defined]  # read by sittings.of
                if not is_background(request):
                    sittings.note_activity(found)
        return self.get_response(request)


def is_background(request: HttpRequest) -> bool:
    """Pages that refresh themselves do it with htmx and GET, and nothing a person does is sent that way. The images
    in what was refreshed are loaded again, too."""
    by_itself = request.headers.get("HX-Request") or request.headers.get("Sec-Fetch-Dest") == "image"
    return request.method == "GET" and bool(by_itself)


def _to_a_script(request: HttpRequest) -> HttpResponse | None:
    """A script would follow a redirect and put the sign-in page into the middle of this one."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": reverse("locked")})
    if request.headers.get("X-Requested-With") == "fetch":
        message = "Your session has ended. Sign in again in another window, then try once more."
        return JsonResponse({"code": "session_ended", "message": message}, status=401)
    return None


class ConfirmMiddleware:
    """A session that has to confirm first is sent to do so, and then back to where it was."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, fresh.ConfirmFirst) or request.path.startswith("/api/"):
            return None
        if request.method not in ("GET", "HEAD"):
            messages.warning(request, "Nothing was changed yet. Confirm that it is you, then press the button again.")
        return fresh.to_confirm(request)
