"""Which probes have aged out, and how far their erasure got."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("probes", "0015_erased_probes"),
        ("retention", "0005_orders_by_rule"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProbeErasure",
            fields=[
                (
                    "probe",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="erasure",
                        serialize=False,
                        to="probes.probe",
                    ),
                ),
                ("rule", models.CharField(max_length=300)),
                ("policy_digest", models.CharField(max_length=64)),
                ("erased_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("key_destroyed_at", models.DateTimeField(null=True)),
                ("files_removed_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-erased_at"],
            },
        ),
        migrations.AddConstraint(
            model_name="probeerasure",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("files_removed_at__isnull", True), ("key_destroyed_at__isnull", False), _connector="OR"
                ),
                name="erased_probe_loses_its_key_first",
            ),
        ),
    ]
