"""The few ways in which an act can be turned down.

Every room raises these; `mugsearch.api` and `mugsearch.pages` turn them into an answer, once each.
The message is one sentence a person can act on: it is shown as it is.
"""


class MugsearchError(Exception):
    """Base of all refusals. `code` is stable and goes into the audit and the API; `status` is the HTTP status.

    `retry_after`: in seconds, where it can be told when trying again makes sense.
    """

    code = "error"
    status = 500
    retry_after: int | None = None

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if retry_after is not None:
            self.retry_after = retry_after


class NotAllowed(MugsearchError):
    """The person may not do this, whatever the state."""

    code = "not_allowed"
    status = 403


class WrongState(MugsearchError):
    """The act was possible once or will be later, but not now."""

    code = "wrong_state"
    status = 409


class BadInput(MugsearchError):
    """What was sent can't be used: a field, a row, a manifest."""

    code = "bad_input"
    status = 422


class BadImage(BadInput):
    """The bytes are not one photograph we can take."""

    code = "bad_image"


class TooMany(MugsearchError):
    """More than one may do in so short a time."""

    code = "too_many"
    status = 429


class Unavailable(MugsearchError):
    """A part of the service can't answer now; trying again later is right."""

    code = "unavailable"
    status = 503
