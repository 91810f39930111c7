"""Heads that leave the database, and how they got to each destination. Numbered to come after 0004 of another change;
it needs only 0003."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from mugsearch import going_back

FORWARD = """
CREATE TRIGGER audit_signedhead_append_only BEFORE UPDATE OR DELETE ON audit_signedhead
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_signedhead_no_truncate BEFORE TRUNCATE ON audit_signedhead
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
"""
BACKWARD = """
DROP TRIGGER audit_signedhead_no_truncate ON audit_signedhead;
DROP TRIGGER audit_signedhead_append_only ON audit_signedhead;
"""
DESTINATIONS = [("folder", "Folder"), ("email", "E-mail"), ("syslog", "Syslog")]


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_indexes_by_number")]
    operations = [
        migrations.CreateModel(
            name="SignedHead",
            fields=[
                ("serial", models.BigIntegerField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField(help_text="Of the entry it is about.")),
                ("digest", models.CharField(max_length=64)),
                ("at", models.DateTimeField(db_index=True)),
                ("document", models.TextField()),
                ("public_key", models.CharField(max_length=64)),
                ("signature", models.CharField(max_length=128)),
            ],
            options={"ordering": ["-serial"]},
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "head",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="audit.signedhead",
                    ),
                ),
                ("destination", models.CharField(choices=DESTINATIONS, max_length=8)),
                ("left_at", models.DateTimeField(null=True)),
                ("tried_at", models.DateTimeField(null=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("trouble", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["head", "destination"], name="one_delivery_per_destination"),
                    models.CheckConstraint(
                        condition=Q(destination__in=["folder", "email", "syslog"]), name="destination_known"
                    ),
                ],
                "indexes": [
                    models.Index(fields=["destination", "head"], condition=Q(left_at=None), name="deliveries_waiting"),
                    models.Index(fields=["destination", "-head"], name="deliveries_by_destination"),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        going_back.refused_for("audit_signedhead", "the heads that were signed, and where they went, are on record"),
    ]
