from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProbesConfig(AppConfig):
    name = "mugsearch.probes"
    label = "probes"

    def ready(self) -> None:
        post_migrate.connect(_record_policy, sender=self, dispatch_uid="probes.policy")


def _record_policy(**_: Any) -> None:
    from mugsearch.probes import policy_changes

    policy_changes.record_installation()
