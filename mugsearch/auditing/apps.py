from typing import Any

from django.apps import AppConfig
from django.core import checks


class AuditingConfig(AppConfig):
    name = "mugsearch.auditing"
    label = "auditing"

    def ready(self) -> None:
        checks.register(_heads_apart, checks.Tags.security, deploy=True)


def _heads_apart(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """No error and no warning that `./run check` would end with: which volume there is only the operator knows."""
    from mugsearch.auditing import destinations

    cautions = [way.caution for way in destinations.configured() if way.caution]
    return [checks.Info(f"Signed heads of the audit: {caution}", id="auditing.I001") for caution in cautions]
