"""Lists that take as long in a large gallery as in a small one: indexes in the order of each list, and the agency next
to each photograph, because to look it up in the booking takes longer than everything else.

PostgreSQL writes it, so it can't differ from the booking's, whoever writes.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

FORWARD = """
CREATE FUNCTION gallery_photo_agency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.agency_id := (SELECT agency_id FROM gallery_booking WHERE id = NEW.booking_id);
    RETURN NEW;
END $$;
CREATE TRIGGER gallery_photo_agency BEFORE INSERT OR UPDATE OF agency_id ON gallery_photo
    FOR EACH ROW EXECUTE FUNCTION gallery_photo_agency();
UPDATE gallery_photo SET agency_id = NULL;
DROP TRIGGER gallery_booking_stays ON gallery_booking;
CREATE TRIGGER gallery_booking_stays BEFORE UPDATE ON gallery_booking FOR EACH ROW
    WHEN ((NEW.id, NEW.person_id, NEW.agency_id) IS DISTINCT FROM (OLD.id, OLD.person_id, OLD.agency_id))
    EXECUTE FUNCTION gallery_refuse('a booking stays with its person and its agency');
"""
BACKWARD = """
DROP TRIGGER gallery_booking_stays ON gallery_booking;
CREATE TRIGGER gallery_booking_stays BEFORE UPDATE ON gallery_booking FOR EACH ROW
    WHEN ((NEW.id, NEW.person_id) IS DISTINCT FROM (OLD.id, OLD.person_id))
    EXECUTE FUNCTION gallery_refuse('a booking stays with its person');
DROP TRIGGER gallery_photo_agency ON gallery_photo;
DROP FUNCTION gallery_photo_agency();
"""


def agency(*, null: bool) -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False,
        editable=False,
        null=null,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        to="accounts.agency",
    )


class Migration(migrations.Migration):
    dependencies = [("gallery", "0003_index_state"), ("accounts", "0001_people")]
    operations = [
        migrations.AddField(model_name="photo", name="agency", field=agency(null=True)),
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AlterField(model_name="photo", name="agency", field=agency(null=False)),
        migrations.AddIndex(
            model_name="person",
            index=models.Index(
                fields=["agency", "family_name", "given_names", "person_id"], include=["id"], name="people_by_name"
            ),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                fields=["agency", "-booked_on", "booking_number"], include=["id"], name="bookings_by_day"
            ),
        ),
        migrations.AddIndex(
            model_name="photo", index=models.Index(fields=["agency", "created_at", "id"], name="photos_by_time")
        ),
        migrations.AddIndex(
            model_name="photo",
            index=models.Index(fields=["agency", "state", "created_at", "id"], name="photos_by_state"),
        ),
        migrations.AddIndex(
            model_name="photo",
            index=models.Index(
                fields=["agency", "trouble", "created_at", "id"], condition=~Q(trouble=""), name="photos_by_trouble"
            ),
        ),
    ]
