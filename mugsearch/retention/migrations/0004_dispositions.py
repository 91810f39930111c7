"""What courts and prosecutors decided about bookings."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_who_revoked_a_certificate"),
        ("gallery", "0012_sealed_bookings"),
        ("retention", "0003_holds"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Disposition",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("booking_number", models.CharField(help_text="As it was reported.", max_length=64)),
                ("number_digest", models.CharField(max_length=64, editable=False)),
                (
                    "disposition",
                    models.CharField(help_text="A code of the policy's section [retention].", max_length=40),
                ),
                ("disposed_on", models.DateField()),
                ("court", models.CharField(blank=True, max_length=120)),
                ("order_number", models.CharField(blank=True, max_length=64)),
                ("recorded_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("counts_since", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("dismissed_at", models.DateTimeField(null=True)),
                ("dismissed_reason", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ["-disposed_on", "-id"],
            },
        ),
        migrations.AddField(
            model_name="disposition",
            name="agency",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.agency"
            ),
        ),
        migrations.AddField(
            model_name="disposition",
            name="booking",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="dispositions",
                to="gallery.booking",
            ),
        ),
        migrations.AddField(
            model_name="disposition",
            name="dismissed_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="disposition",
            name="matched_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="disposition",
            name="recorded_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="disposition",
            index=models.Index(
                models.F("booking"),
                models.OrderBy(models.F("disposed_on"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                name="dispositions_latest_first",
            ),
        ),
        migrations.AddIndex(
            model_name="disposition",
            index=models.Index(
                condition=models.Q(("booking__isnull", True)),
                fields=["agency", "number_digest"],
                name="dispositions_unmatched",
            ),
        ),
        migrations.AddConstraint(
            model_name="disposition",
            constraint=models.UniqueConstraint(
                fields=("agency", "number_digest", "disposition", "disposed_on", "court", "order_number"),
                name="one_disposition_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="disposition",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("dismissed_at__isnull", True), ("dismissed_by__isnull", True), ("dismissed_reason", "")),
                    models.Q(
                        ("dismissed_at__isnull", False),
                        ("dismissed_by__isnull", False),
                        models.Q(("dismissed_reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="dismissed_disposition_says_why",
            ),
        ),
    ]
