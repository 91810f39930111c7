"""The probe of a trial is a copy of its photograph, under the photograph's own data key, and a
trial's list stays as long as the trial is open."""

import django.db.models.deletion
from django.db import migrations, models

RULES = """
CREATE FUNCTION probes_trial_searches_with_its_photo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT trial_photo_id FROM probes_probe WHERE id = NEW.probe_id)
       IS DISTINCT FROM (SELECT photo_id FROM trials_trial WHERE id = NEW.trial_id) THEN
        RAISE EXCEPTION 'a trial is searched for with its photograph, and nothing else is'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER probes_trial_searches_with_its_photo BEFORE INSERT ON probes_search
    FOR EACH ROW EXECUTE FUNCTION probes_trial_searches_with_its_photo();

CREATE FUNCTION probes_trial_list_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM probes_search search JOIN trials_trial trial ON trial.id = search.trial_id
               WHERE search.id = OLD.search_id AND trial.closed_at IS NULL) THEN
        RAISE EXCEPTION 'the list of an open trial stays' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER probes_trial_list_stays BEFORE UPDATE ON probes_candidate FOR EACH ROW
    WHEN (OLD.trial_photo_id IS NOT NULL) EXECUTE FUNCTION probes_trial_list_stays();

CREATE TRIGGER probes_probe_trial_photo_stays BEFORE UPDATE ON probes_probe FOR EACH ROW
    WHEN (NEW.trial_photo_id IS DISTINCT FROM OLD.trial_photo_id)
    EXECUTE FUNCTION probes_refuse('a probe stays that of its case and of who submitted it');

CREATE FUNCTION probes_nobody_on_trials() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM probes_probe WHERE case_id = NEW.case_id AND trial_photo_id IS NOT NULL) THEN
        RAISE EXCEPTION 'nobody is on the case of trials' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER probes_nobody_on_trials BEFORE INSERT OR UPDATE ON probes_case_members
    FOR EACH ROW EXECUTE FUNCTION probes_nobody_on_trials();
"""
BACK = """
DROP TRIGGER probes_nobody_on_trials ON probes_case_members;
DROP FUNCTION probes_nobody_on_trials();
DROP TRIGGER probes_probe_trial_photo_stays ON probes_probe;
DROP TRIGGER probes_trial_list_stays ON probes_candidate;
DROP FUNCTION probes_trial_list_stays();
DROP TRIGGER probes_trial_searches_with_its_photo ON probes_search;
DROP FUNCTION probes_trial_searches_with_its_photo();
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0012_images_and_answers_stay"), ("trials", "0003_ready_photographs_stay")]
    operations = [
        migrations.AddField(
            "probe",
            "trial_photo",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trials.trialphoto",
            ),
        ),
        migrations.RunSQL(RULES, BACK),
    ]
