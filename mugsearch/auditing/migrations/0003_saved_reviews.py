"""Filters and signals under a name. PostgreSQL refuses any change but putting them away once."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from mugsearch import going_back

FORWARD = """
CREATE FUNCTION auditing_saved_reviews() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.put_away_at IS NULL AND NEW.put_away_at IS NOT NULL
           AND (NEW.id, NEW.name, NEW.days, NEW.signal, NEW.filters, NEW.by_id, NEW.at)
            IS NOT DISTINCT FROM (OLD.id, OLD.name, OLD.days, OLD.signal, OLD.filters, OLD.by_id, OLD.at) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'a saved review is put away once, and neither changed nor deleted'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER auditing_savedreview_stays BEFORE UPDATE OR DELETE ON auditing_savedreview
    FOR EACH ROW EXECUTE FUNCTION auditing_saved_reviews();
CREATE TRIGGER auditing_savedreview_no_truncate BEFORE TRUNCATE ON auditing_savedreview
    FOR EACH STATEMENT EXECUTE FUNCTION auditing_saved_reviews();
"""
BACKWARD = "DROP FUNCTION auditing_saved_reviews() CASCADE"


class Migration(migrations.Migration):
    dependencies = [
        ("auditing", "0002_reviews"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="SavedReview",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("days", models.PositiveSmallIntegerField(help_text="The last so many days, whenever it is opened.")),
                ("signal", models.CharField(blank=True, max_length=32)),
                (
                    "filters",
                    models.JSONField(default=dict, help_text="Names and values of the filter form, without times."),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("put_away_at", models.DateTimeField(null=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "put_away_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("put_away_at__isnull", True)),
                        fields=("name",),
                        name="one_saved_review_of_a_name",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("days__gte", 1), ("days__lte", 366), models.Q(("name", ""), _negated=True)),
                        name="saved_review_of_a_period",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("put_away_at__isnull", True), ("put_away_by__isnull", True)),
                            models.Q(("put_away_at__isnull", False), ("put_away_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="saved_review_put_away_by_somebody",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        going_back.refused_for("auditing_savedreview", "reviews are saved"),
    ]
