"""The probe of a trial is a copy of its photograph, under the photograph's own data key; the trial's list holds each
person once, never the photograph itself, and stays as long as the trial is open."""

import django.db.models.deletion
from django.db import migrations, models

ANSWERS = """
CREATE OR REPLACE FUNCTION probes_trial_holds_its_answer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE searched uuid; right_answer boolean;
BEGIN
    IF TG_TABLE_NAME = 'probes_search' THEN searched := NEW.id; ELSE searched := NEW.search_id; END IF;
    SELECT COALESCE(array_agg(listed.rank) FILTER (WHERE photo.subject_id = wanted.subject_id), '{}')
            = CASE WHEN trial.mate_rank IS NULL THEN '{}' ELSE ARRAY[trial.mate_rank] END
            AND count(photo.subject_id) = count(DISTINCT photo.subject_id)
            AND NOT bool_or(COALESCE(photo.id = wanted.id, false))
        INTO right_answer
        FROM probes_search search
        JOIN trials_trial trial ON trial.id = search.trial_id
        JOIN trials_trialphoto wanted ON wanted.id = trial.photo_id
        LEFT JOIN probes_candidate listed ON listed.search_id = search.id
        LEFT JOIN trials_trialphoto photo ON photo.id = listed.trial_photo_id
        WHERE search.id = searched
        GROUP BY trial.mate_rank;
    IF NOT right_answer THEN
        RAISE EXCEPTION 'the list of a trial holds the person where the trial says, and nowhere else'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

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
# What the function answered before is in 0012; a stricter one harms no older row.
UNANSWERED = """
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
        migrations.RunSQL(ANSWERS, UNANSWERED),
    ]
