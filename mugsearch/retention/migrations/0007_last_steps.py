"""Three more steps of an expungement: leavings, VACUUM and a last look; and what every step looked at.

Expungements that were complete without them are not any more: the steps are made good by `tasks.resume`.
"""

from django.db import migrations, models
from django.db.models import Q

from mugsearch import going_back

REOPENED = """
UPDATE retention_expungementorder SET sought = jsonb_build_object(
    'owners', keys_left, 'photos', files_left, 'templates', templates_left)
WHERE kind = 'expunge' AND state = 'approved';
UPDATE retention_expungementorder SET state = 'approved', completed_at = NULL
WHERE kind = 'expunge' AND state = 'complete';
-- Checked now: PostgreSQL alters no table of which a check is pending.
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [("retention", "0006_erased_probes")]

    operations = [
        migrations.RemoveConstraint(
            model_name="expungementorder",
            name="complete_only_when_every_step_is",
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="checks",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="leavings_gone_at",
            field=models.DateTimeField(help_text="Messages, sessions and unfinished uploads.", null=True),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="sought",
            field=models.JSONField(default=dict, help_text="What the last look looks for: owners, photos, templates."),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="vacuumed_at",
            field=models.DateTimeField(help_text="PostgreSQL kept none of the removed rows.", null=True),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="verified_at",
            field=models.DateTimeField(help_text="When no row, key, file or entry of the index was found.", null=True),
        ),
        migrations.AddField(
            model_name="probeerasure",
            name="vacuumed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(REOPENED, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="expungementorder",
            constraint=models.CheckConstraint(
                condition=~Q(state="complete")
                | Q(
                    completed_at__isnull=False,
                    keys_left=[],
                    files_left=[],
                    uploads_left=[],
                    templates_left=[],
                    sought={},
                )
                & (
                    Q(kind="unseal")
                    | Q(kind="seal", forgotten_at__isnull=False)
                    | Q(
                        kind="expunge",
                        key_destroyed_at__isnull=False,
                        files_removed_at__isnull=False,
                        uploads_gone_at__isnull=False,
                        forgotten_at__isnull=False,
                        leavings_gone_at__isnull=False,
                        vacuumed_at__isnull=False,
                        verified_at__isnull=False,
                    )
                ),
                name="complete_only_when_every_step_is",
            ),
        ),
        migrations.AddConstraint(
            model_name="probeerasure",
            constraint=models.CheckConstraint(
                condition=Q(vacuumed_at__isnull=True) | Q(files_removed_at__isnull=False),
                name="erased_probe_is_vacuumed_last",
            ),
        ),
        going_back.refused_for(
            "retention_expungementorder WHERE kind = 'expunge' AND state = 'approved'",
            "an expungement is under way, let it be completed first",
        ),
    ]
