"""Known-answer trials stand in the queue beside casework: searches whose people are in no gallery.

PostgreSQL keeps the two apart: a trial lists trial photographs only, casework only people of the gallery, and a search
never changes from one to the other.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

STAYS = """
DROP TRIGGER probes_search_stays ON probes_search;
CREATE TRIGGER probes_search_stays BEFORE UPDATE ON probes_search FOR EACH ROW
    WHEN (OLD.state = 'done'
        OR (NEW.id, NEW.probe_id, NEW.requested_by_id, NEW.face, NEW.list_size, NEW.filters, NEW.policy_digest,
            NEW.positive_rating{new})
        IS DISTINCT FROM (OLD.id, OLD.probe_id, OLD.requested_by_id, OLD.face, OLD.list_size, OLD.filters,
            OLD.policy_digest, OLD.positive_rating{old}))
    EXECUTE FUNCTION probes_refuse('a search stays what was asked for, and a finished one stays as it is');
"""
TOMBSTONE = """
DROP TRIGGER probes_candidate_stays ON probes_candidate;
CREATE TRIGGER probes_candidate_stays BEFORE UPDATE ON probes_candidate FOR EACH ROW
    WHEN (NOT (
        OLD.forgotten_at IS NULL AND NEW.forgotten_at IS NOT NULL
        AND NEW.person_id IS NULL AND NEW.photo_id IS NULL AND NEW.score IS NULL{gone}
        AND (NEW.id, NEW.search_id, NEW.rank) IS NOT DISTINCT FROM (OLD.id, OLD.search_id, OLD.rank)
    ))
    EXECUTE FUNCTION probes_refuse('a candidate can become a tombstone, nothing else of it changes');
"""
APART = """
CREATE FUNCTION probes_trials_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.trial_photo_id IS NULL) IS DISTINCT FROM
       ((SELECT trial_id FROM probes_search WHERE id = NEW.search_id) IS NULL) THEN
        RAISE EXCEPTION 'a trial lists trial photographs, casework people of the gallery'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER probes_trials_apart BEFORE INSERT ON probes_candidate
    FOR EACH ROW EXECUTE FUNCTION probes_trials_apart();
"""
TOGETHER = """
DROP TRIGGER probes_trials_apart ON probes_candidate;
DROP FUNCTION probes_trials_apart();
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0007_policy_versions"), ("trials", "0001_trials")]
    operations = [
        migrations.AddField(
            model_name="search",
            name="trial",
            field=models.ForeignKey(
                help_text="Empty: casework.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="searches",
                to="trials.trial",
            ),
        ),
        migrations.AddField(
            model_name="candidate",
            name="trial_photo",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="trials.trialphoto"
            ),
        ),
        migrations.RemoveConstraint(model_name="candidate", name="candidate_whole_or_tombstone"),
        migrations.AddConstraint(
            model_name="candidate",
            constraint=models.CheckConstraint(
                condition=Q(forgotten_at__isnull=True, score__isnull=False)
                & (
                    Q(person__isnull=False, photo__isnull=False, trial_photo__isnull=True)
                    | Q(person__isnull=True, photo__isnull=True, trial_photo__isnull=False)
                )
                | Q(
                    forgotten_at__isnull=False,
                    person__isnull=True,
                    photo__isnull=True,
                    trial_photo__isnull=True,
                    score__isnull=True,
                ),
                name="candidate_whole_or_tombstone",
            ),
        ),
        migrations.RunSQL(STAYS.format(new=", NEW.trial_id", old=", OLD.trial_id"), STAYS.format(new="", old="")),
        migrations.RunSQL(TOMBSTONE.format(gone=" AND NEW.trial_photo_id IS NULL"), TOMBSTONE.format(gone="")),
        migrations.RunSQL(APART, TOGETHER),
    ]
