"""How and when an examination went back to the queue: given back, freed by a supervisor, or not worked on in time."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_entry"), ("reviews", "0002_rules_of_examination")]
    operations = [
        migrations.AddField(
            model_name="examination",
            name="release",
            field=models.CharField(
                blank=True,
                choices=[
                    ("given_back", "Given back"),
                    ("freed", "Freed by a supervisor"),
                    ("expired", "Not worked on in time"),
                ],
                default="",
                help_text="How it went back to the queue.",
                max_length=10,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="examination",
            name="released_at",
            field=models.DateTimeField(null=True),
        ),
        # The record knows how those went back that did before this was kept.
        migrations.RunSQL(
            """
            ALTER TABLE reviews_examination DISABLE TRIGGER reviews_examination_rules;
            UPDATE reviews_examination SET release = 'given_back', released_at = claimed_at WHERE state = 'released';
            UPDATE reviews_examination SET release = 'freed', released_at = entry.at FROM audit_entry entry
            WHERE state = 'released' AND entry.object_id = reviews_examination.id::text AND entry.outcome = 'done'
              AND entry.act = 'examination.freed';
            UPDATE reviews_examination SET released_at = entry.at FROM audit_entry entry
            WHERE state = 'released' AND entry.object_id = reviews_examination.id::text AND entry.outcome = 'done'
              AND entry.act = 'examination.released';
            ALTER TABLE reviews_examination ENABLE TRIGGER reviews_examination_rules;
            """,
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="examination",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("release__in", ["given_back", "freed", "expired"]),
                    ("released_at__isnull", False),
                    ("state", "released"),
                )
                | models.Q(("release", ""), ("released_at__isnull", True), ("state__in", ["claimed", "concluded"])),
                name="released_says_how_and_when",
            ),
        ),
    ]
