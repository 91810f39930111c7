"""What was found on a trial photograph stays until it is looked at anew, and while a trial is open it isn't erased."""

from django.db import migrations

RULES = """
CREATE TRIGGER trials_trialphoto_found_stays BEFORE UPDATE ON trials_trialphoto FOR EACH ROW
    WHEN (OLD.state = 'ready' AND NEW.state = 'ready'
        AND (NEW.face, NEW.sealed_vector, NEW.encoder_id)
        IS DISTINCT FROM (OLD.face, OLD.sealed_vector, OLD.encoder_id))
    EXECUTE FUNCTION trials_refuse('what was found on a trial photograph stays until it is looked at anew');
CREATE FUNCTION trials_photo_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM trials_trial WHERE photo_id = NEW.id AND closed_at IS NULL) THEN
        RAISE EXCEPTION 'a photograph of an open trial is not erased' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trials_trialphoto_in_use BEFORE UPDATE ON trials_trialphoto FOR EACH ROW
    WHEN (NEW.state = 'erased') EXECUTE FUNCTION trials_photo_in_use();
"""
BACK = """
DROP TRIGGER trials_trialphoto_in_use ON trials_trialphoto;
DROP FUNCTION trials_photo_in_use();
DROP TRIGGER trials_trialphoto_found_stays ON trials_trialphoto;
"""


class Migration(migrations.Migration):
    dependencies = [("trials", "0002_photographs_stay")]
    operations = [migrations.RunSQL(RULES, BACK)]
