from django.apps import AppConfig


class RetentionConfig(AppConfig):
    name = "mugsearch.retention"
    label = "retention"

    def ready(self) -> None:
        """Who changes a rule is shown what that does to bookings, which the policy's room can't tell."""
        from mugsearch.probes import policy_changes
        from mugsearch.retention import rules

        policy_changes.told_by.append(rules.effects)
