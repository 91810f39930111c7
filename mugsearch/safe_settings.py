"""Settings that would let somebody in who doesn't belong. `check` names them, and nothing is served with them."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

_LOOPBACK_NAMES = {"localhost"}


@register(Tags.security)
def hosts(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """An address that names everybody: links and redirects would go wherever a request's Host says."""
    found: list[CheckMessage] = []
    open_to_all = [host for host in settings.ALLOWED_HOSTS if host.strip() in ("*", ".")]
    if open_to_all:
        message = "ALLOWED_HOSTS names every host."
        found.append(Error(message, hint="Name the hosts the service is reached by.", id="mugsearch.E001"))
    if settings.BEHIND_PROXY and not settings.ALLOWED_HOSTS:
        message = "MUGSEARCH_BEHIND_PROXY is set, but ALLOWED_HOSTS names no host."
        found.append(Error(message, hint="Name the host the proxy passes on.", id="mugsearch.E002"))
    if settings.USE_X_FORWARDED_HOST or settings.USE_X_FORWARDED_PORT:
        message = "X-Forwarded-Host or -Port is trusted."
        found.append(Error(message, hint="Let the proxy pass Host on as it came.", id="mugsearch.E003"))
    if any("*" in origin for origin in settings.CSRF_TRUSTED_ORIGINS):
        message = "CSRF_TRUSTED_ORIGINS has a wildcard."
        found.append(Error(message, hint="Name the origins one by one, with https.", id="mugsearch.E004"))
    return found


@register(Tags.security)
def transport(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Plain http where somebody else can read it."""
    if not settings.INSECURE_HTTP:
        return []
    reachable = [host for host in settings.ALLOWED_HOSTS if not _is_loopback(host)]
    if not reachable:
        return []
    message = f"MUGSEARCH_INSECURE_HTTP is set, but {reachable[0]} is not this machine."
    hint = "Plain http is for the demo on loopback. Put a proxy in front that ends TLS, see docs/operator.md."
    return [Error(message, hint=hint, id="mugsearch.E005")]


@register(Tags.security, deploy=True)
def debug(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Django's own is a warning; its pages show settings and local variables."""
    if not settings.DEBUG:
        return []
    return [Error("DEBUG is on.", hint="It shows strangers what is in memory.", id="mugsearch.E006")]


CHECKS: tuple[Callable[..., list[CheckMessage]], ...] = (hosts, transport, debug)


def require() -> None:
    """At the start of the web process, which runs no checks by itself."""
    for error in (error for check in CHECKS for error in check()):
        raise ImproperlyConfigured(f"{error.msg} {error.hint} ({error.id})")


def _is_loopback(host: str) -> bool:
    name = host.strip().strip("[]").lower()
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
