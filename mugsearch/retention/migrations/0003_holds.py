"""Legal holds: a held booking is neither sealed nor expunged, refused by PostgreSQL whoever writes."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

FORWARD = """
CREATE FUNCTION retention_hold_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL
           AND (NEW.id, NEW.booking_id, NEW.reference, NEW.reason, NEW.set_by_id, NEW.set_at, NEW.ends_at)
            IS NOT DISTINCT FROM
               (OLD.id, OLD.booking_id, OLD.reference, OLD.reason, OLD.set_by_id, OLD.set_at, OLD.ends_at) THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF OLD.lifted_at IS NOT NULL OR OLD.ends_at <= now() THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'a legal hold is lifted once, nothing else of it changes, and none in force is deleted'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER retention_hold_rules BEFORE UPDATE OR DELETE ON retention_hold
    FOR EACH ROW EXECUTE FUNCTION retention_hold_rules();
CREATE TRIGGER retention_hold_no_truncate BEFORE TRUNCATE ON retention_hold
    FOR EACH STATEMENT EXECUTE FUNCTION retention_hold_rules();

CREATE FUNCTION retention_booking_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM retention_hold
               WHERE booking_id = OLD.id AND lifted_at IS NULL AND (ends_at IS NULL OR ends_at > now())) THEN
        RAISE EXCEPTION 'a booking under a legal hold is neither sealed nor expunged' USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER retention_held_stays BEFORE DELETE ON gallery_booking
    FOR EACH ROW EXECUTE FUNCTION retention_booking_held();
CREATE TRIGGER retention_held_unsealed BEFORE UPDATE OF sealed_at ON gallery_booking
    FOR EACH ROW WHEN (OLD.sealed_at IS NULL AND NEW.sealed_at IS NOT NULL)
    EXECUTE FUNCTION retention_booking_held();
"""
BACKWARD = """
DROP FUNCTION retention_booking_held() CASCADE;
DROP FUNCTION retention_hold_rules() CASCADE;
"""


def user(**options: bool) -> models.ForeignKey:
    return models.ForeignKey(
        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL, **options
    )


class Migration(migrations.Migration):
    dependencies = [
        ("retention", "0002_orders_of_three_kinds"),
        ("gallery", "0012_sealed_bookings"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "reference",
                    models.CharField(help_text="Number of the letter or order that asks for it.", max_length=64),
                ),
                ("reason", models.CharField(max_length=500)),
                ("set_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "ends_at",
                    models.DateTimeField(
                        help_text="The midnight after its last day; empty: until it is lifted.", null=True
                    ),
                ),
                ("lifted_at", models.DateTimeField(null=True)),
                (
                    "booking",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="holds", to="gallery.booking"
                    ),
                ),
                ("lifted_by", user(null=True)),
                ("set_by", user()),
            ],
            options={
                "ordering": ["-set_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(lifted_by__isnull=True, lifted_at__isnull=True)
                        | Q(lifted_by__isnull=False, lifted_at__isnull=False),
                        name="hold_lifted_by_somebody",
                    ),
                    models.CheckConstraint(condition=~Q(reference="") & ~Q(reason=""), name="hold_says_why"),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
