"""Orders seal and unseal, too, and may be about all bookings of a person. All there are were to expunge one booking."""

from django.db import migrations, models
from django.db.models import Q

STATES = """
UPDATE retention_expungementorder SET state = 'approved' WHERE state = 'erased';
UPDATE retention_expungementorder SET keys_left = jsonb_build_array(key_left) WHERE key_left IS NOT NULL;
-- Checked now: PostgreSQL alters no table of which a check is pending.
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    # There is no way back: the orders of the other kinds would be read as expungements.
    dependencies = [("retention", "0001_expungement_orders")]
    operations = [
        migrations.RemoveConstraint(model_name="expungementorder", name="erasing_needs_approval"),
        migrations.RemoveConstraint(model_name="expungementorder", name="erased_order_names_no_booking"),
        migrations.RemoveConstraint(model_name="expungementorder", name="complete_only_when_every_step_is"),
        migrations.AddField(
            model_name="expungementorder",
            name="kind",
            field=models.CharField(
                choices=[("expunge", "Expunge"), ("seal", "Seal"), ("unseal", "Unseal")],
                default="expunge",
                max_length=7,
            ),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="whole_person",
            field=models.BooleanField(default=False, help_text="All bookings of the person, not this one alone."),
        ),
        migrations.AddField(
            model_name="expungementorder",
            name="keys_left",
            field=models.JSONField(default=list, help_text="Owners of the data keys still to be destroyed."),
        ),
        migrations.AlterField(
            model_name="expungementorder",
            name="state",
            field=models.CharField(
                choices=[
                    ("requested", "To be approved"),
                    ("approved", "Being verified"),
                    ("complete", "Complete"),
                    ("withdrawn", "Withdrawn"),
                ],
                default="requested",
                max_length=9,
            ),
        ),
        migrations.RunSQL(STATES),
        migrations.RemoveField(model_name="expungementorder", name="key_left"),
        migrations.AddConstraint(
            model_name="expungementorder",
            constraint=models.CheckConstraint(
                condition=Q(state__in=["requested", "withdrawn"], approved_by__isnull=True)
                | Q(state__in=["approved", "complete"], approved_by__isnull=False, approved_at__isnull=False),
                name="erasing_needs_approval",
            ),
        ),
        migrations.AddConstraint(
            model_name="expungementorder",
            constraint=models.CheckConstraint(
                condition=~Q(kind="expunge", state__in=["approved", "complete"])
                | Q(booking__isnull=True, booking_number="", erased_at__isnull=False),
                name="erased_order_names_no_booking",
            ),
        ),
        migrations.AddConstraint(
            model_name="expungementorder",
            constraint=models.CheckConstraint(
                condition=~Q(state="complete")
                | Q(completed_at__isnull=False, keys_left=[], files_left=[], uploads_left=[], templates_left=[])
                & (
                    Q(kind="unseal")
                    | Q(kind="seal", forgotten_at__isnull=False)
                    | Q(
                        kind="expunge",
                        key_destroyed_at__isnull=False,
                        files_removed_at__isnull=False,
                        uploads_gone_at__isnull=False,
                        forgotten_at__isnull=False,
                    )
                ),
                name="complete_only_when_every_step_is",
            ),
        ),
    ]
