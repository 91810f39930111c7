"""Where heads of the audit go: a folder, e-mail, syslog. What can't be reached now raises, and is tried again."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage

from mugsearch import durable
from mugsearch.audit.models import Destination, SignedHead
from mugsearch.auditing.verify_audit import framed
from mugsearch.errors import Unavailable

TIMEOUT = 10  # seconds
_PRIORITY = 13 * 8 + 5  # RFC 5424: facility "log audit", severity "notice"


@dataclass(frozen=True)
class Way:
    """`where`: for auditors and administrators; no password is in it. `caution`: why it protects less than it could."""

    name: Destination
    where: str
    send: Callable[[SignedHead], None]
    caution: str = ""


def configured() -> list[Way]:
    ways = [Way(Destination.FOLDER, str(folder()), _to_folder, "" if is_apart() else _BESIDE)]
    if settings.MUGSEARCH_HEADS_EMAIL:
        ways.append(Way(Destination.EMAIL, ", ".join(settings.MUGSEARCH_HEADS_EMAIL), _to_email))
    if settings.MUGSEARCH_HEADS_SYSLOG:
        ways.append(Way(Destination.SYSLOG, settings.MUGSEARCH_HEADS_SYSLOG, _to_syslog))
    return ways


_BESIDE = (
    "This folder is on the same volume as the service's own data: whoever can change the record there can change the "
    "heads as well, and both are lost together. Set MUGSEARCH_HEADS_DIR to a folder on another volume, best on another "
    "machine."
)


def folder() -> Path:
    return Path(settings.MUGSEARCH_HEADS_DIR or settings.VAR / "heads")


def is_apart() -> bool:
    """Whether the folder is on another volume than the data; of one that isn't there nobody can tell, so it counts as
    one that is: sending says what is wrong."""
    place, own = folder(), Path(settings.VAR)
    if not settings.MUGSEARCH_HEADS_DIR:
        return False
    try:
        return place.stat().st_dev != own.stat().st_dev
    except OSError:
        return True


def file_of(head: SignedHead) -> bytes:
    return framed(head.document.encode(), head.public_key, head.signature)


def name_of(head: SignedHead) -> str:
    return f"head-{head.serial:06}-{head.number}-{head.at:%Y%m%dT%H%M%SZ}.json"


def _to_folder(head: SignedHead) -> None:
    place, content = folder(), file_of(head)
    # A volume that isn't mounted must not become a folder of the same name on this one.
    if settings.MUGSEARCH_HEADS_DIR and not place.is_dir():
        raise Unavailable("The folder is not there. Is its volume mounted?")
    path = place / name_of(head)
    if path.exists():
        if path.read_bytes() != content:
            raise Unavailable(f"{path.name} is there already, with something else in it.")
        return
    durable.write(path, content)


def _to_email(head: SignedHead) -> None:
    message = EmailMessage(
        subject=f"mugsearch: head {head.serial} of the audit, entry {head.number}",
        body=(
            f"{head.number}:{head.digest}\n\nKeep this message and its attachment. They show later whether the record "
            "of acts up to this entry is still what it was:\n\n"
            f"    python3 verify_audit.py EXPORT --against {name_of(head)}\n"
        ),
        to=list(settings.MUGSEARCH_HEADS_EMAIL),
        attachments=[(name_of(head), file_of(head).decode(), "application/json")],
    )
    if message.send() != 1:
        raise Unavailable("The mail server took no message.")


def _to_syslog(head: SignedHead) -> None:
    """One line. It is sent by hand because logging's SysLogHandler waits for a connection without end, and says nothing
    when it fails. Over UDP and sockets of datagrams nobody acknowledges it."""
    text = f"<{_PRIORITY}>mugsearch: audit head {file_of(head).decode()}".replace("\n", "")
    address: str = settings.MUGSEARCH_HEADS_SYSLOG
    if address.startswith("/"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
            local.settimeout(TIMEOUT)
            local.connect(address)
            local.send(text.encode())
        return
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not host or not port.isdecimal():
        raise Unavailable("MUGSEARCH_HEADS_SYSLOG has to be HOST:PORT, tcp://HOST:PORT or the path of a socket.")
    if address.startswith("tcp://"):
        with socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT) as stream:
            stream.sendall(text.encode() + b"\n")
        return
    family, kind, _, _, target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as datagrams:
        datagrams.settimeout(TIMEOUT)
        datagrams.sendto(text.encode(), target)
