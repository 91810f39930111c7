"""By which policy a search is examined is part of what was asked for, so it stays.

Searches from before take the digest from their probe: the policy was read then, and every rating that named somebody
counted as 2.
"""

from django.db import migrations, models
from django.db.models import Q

FILL = """
ALTER TABLE probes_search DISABLE TRIGGER probes_search_stays;
UPDATE probes_search SET policy_digest = probe.policy_digest FROM probes_probe probe WHERE probe.id = probe_id;
ALTER TABLE probes_search ENABLE TRIGGER probes_search_stays;
"""

STAYS = """
DROP TRIGGER probes_search_stays ON probes_search;
CREATE TRIGGER probes_search_stays BEFORE UPDATE ON probes_search FOR EACH ROW
    WHEN (OLD.state = 'done' OR (NEW.id, NEW.probe_id, NEW.requested_by_id, NEW.face, NEW.list_size, NEW.filters{new})
        IS DISTINCT FROM (OLD.id, OLD.probe_id, OLD.requested_by_id, OLD.face, OLD.list_size, OLD.filters{old}))
    EXECUTE FUNCTION probes_refuse('a search stays what was asked for, and a finished one stays as it is');
"""
NEW, OLD = ", NEW.policy_digest, NEW.positive_rating", ", OLD.policy_digest, OLD.positive_rating"


class Migration(migrations.Migration):
    dependencies = [("probes", "0005_repeats")]
    operations = [
        migrations.AddField(
            model_name="search",
            name="policy_digest",
            field=models.CharField(max_length=64, default="", help_text="SHA-256 of the policy file."),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="search",
            name="positive_rating",
            field=models.SmallIntegerField(
                default=2, help_text="From where on an examiner's rating names a candidate."
            ),
            preserve_default=False,
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="search",
            constraint=models.CheckConstraint(
                condition=Q(positive_rating__gte=1, positive_rating__lte=3), name="positive_rating_1_to_3"
            ),
        ),
        migrations.RunSQL(STAYS.format(new=NEW, old=OLD), STAYS.format(new="", old="")),
    ]
