"""An order is either approved by two people or made by a rule in force."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("retention", "0004_dispositions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="expungementorder",
            name="erasing_needs_approval",
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="disposition",
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="policy_digest",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="rule",
            field=models.CharField(blank=True, max_length=4000),
        ),
        migrations.AlterField(
            model_name="expungementorder",
            name="requested_by",
            field=models.ForeignKey(
                help_text="Empty: a rule ordered it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="expungementorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("approved_by__isnull", True), ("state__in", ["requested", "withdrawn"])),
                    models.Q(
                        ("approved_at__isnull", False),
                        ("approved_by__isnull", False),
                        ("state__in", ["approved", "complete"]),
                    ),
                    models.Q(
                        ("approved_by__isnull", True),
                        ("state__in", ["approved", "complete"]),
                        models.Q(("rule", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="erasing_needs_approval",
            ),
        ),
        migrations.AddConstraint(
            model_name="expungementorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("disposition", ""), ("policy_digest", ""), ("requested_by__isnull", False), ("rule", "")),
                    models.Q(
                        ("approved_at__isnull", True),
                        ("approved_by__isnull", True),
                        ("requested_by__isnull", True),
                        ("state__in", ["approved", "complete"]),
                        models.Q(("rule", ""), _negated=True),
                        models.Q(("policy_digest", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="ordered_by_people_or_by_a_rule",
            ),
        ),
    ]
