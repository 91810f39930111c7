"""A photograph stays with its booking and a booking with its person: else a lead would name somebody else."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION gallery_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER gallery_photo_stays BEFORE UPDATE ON gallery_photo FOR EACH ROW
    WHEN ((NEW.id, NEW.booking_id) IS DISTINCT FROM (OLD.id, OLD.booking_id))
    EXECUTE FUNCTION gallery_refuse('a photograph stays with its booking');
CREATE TRIGGER gallery_booking_stays BEFORE UPDATE ON gallery_booking FOR EACH ROW
    WHEN ((NEW.id, NEW.person_id) IS DISTINCT FROM (OLD.id, OLD.person_id))
    EXECUTE FUNCTION gallery_refuse('a booking stays with its person');
"""
BACKWARD = """
DROP TRIGGER gallery_booking_stays ON gallery_booking;
DROP TRIGGER gallery_photo_stays ON gallery_photo;
DROP FUNCTION gallery_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("gallery", "0001_gallery")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
