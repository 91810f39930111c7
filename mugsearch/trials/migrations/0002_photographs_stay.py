"""A trial photograph stays its subject's, and is searched with in one open trial at most."""

from django.db import migrations, models
from django.db.models import Q

RULES = """
CREATE TRIGGER trials_trialphoto_stays BEFORE UPDATE ON trials_trialphoto FOR EACH ROW
    WHEN (OLD.state = 'erased'
        OR (NEW.id, NEW.subject_id, NEW.format, NEW.width, NEW.height, NEW.received_at) IS DISTINCT FROM
           (OLD.id, OLD.subject_id, OLD.format, OLD.width, OLD.height, OLD.received_at)
        OR (NEW.sha256 IS DISTINCT FROM OLD.sha256 AND NEW.state <> 'erased'))
    EXECUTE FUNCTION trials_refuse('a trial photograph stays that of its subject until it is erased');
CREATE TRIGGER trials_trialphoto_no_delete BEFORE DELETE ON trials_trialphoto FOR EACH ROW
    EXECUTE FUNCTION trials_refuse('a trial photograph is erased, never deleted');
CREATE TRIGGER trials_trialphoto_no_truncate BEFORE TRUNCATE ON trials_trialphoto FOR EACH STATEMENT
    EXECUTE FUNCTION trials_refuse('a trial photograph is erased, never deleted');
"""
BACK = """
DROP TRIGGER trials_trialphoto_no_truncate ON trials_trialphoto;
DROP TRIGGER trials_trialphoto_no_delete ON trials_trialphoto;
DROP TRIGGER trials_trialphoto_stays ON trials_trialphoto;
"""


class Migration(migrations.Migration):
    dependencies = [("trials", "0001_trials")]
    operations = [
        migrations.AddConstraint(
            model_name="trial",
            constraint=models.UniqueConstraint(
                fields=["photo"], condition=Q(closed_at__isnull=True), name="one_open_trial_per_photo"
            ),
        ),
        migrations.RunSQL(RULES, BACK),
    ]
