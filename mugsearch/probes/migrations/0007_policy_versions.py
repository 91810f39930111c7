"""Which policy was in force when, for good."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

FORWARD = """
ALTER TABLE probes_policyversion ADD CONSTRAINT policy_digest_of_its_text
    CHECK (digest = encode(sha256(convert_to(text, 'UTF8')), 'hex'));
CREATE FUNCTION probes_policyversion_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.by_id IS NULL OR NEW.reason = '') AND EXISTS (SELECT FROM probes_policyversion) THEN
        RAISE EXCEPTION 'a policy is changed by somebody, for a reason' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER probes_policyversion_rules BEFORE INSERT ON probes_policyversion FOR EACH ROW
    EXECUTE FUNCTION probes_policyversion_rules();
CREATE TRIGGER probes_policyversion_stays BEFORE UPDATE OR DELETE ON probes_policyversion FOR EACH ROW
    EXECUTE FUNCTION probes_refuse('a policy that was in force stays on record');
CREATE TRIGGER probes_policyversion_no_truncate BEFORE TRUNCATE ON probes_policyversion FOR EACH STATEMENT
    EXECUTE FUNCTION probes_refuse('a policy that was in force stays on record');
"""
BACKWARD = """
DROP TRIGGER probes_policyversion_no_truncate ON probes_policyversion;
DROP TRIGGER probes_policyversion_stays ON probes_policyversion;
DROP TRIGGER probes_policyversion_rules ON probes_policyversion;
DROP FUNCTION probes_policyversion_rules();
"""


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("probes", "0006_the_policy_of_a_search"),
    ]
    operations = [
        migrations.CreateModel(
            name="PolicyVersion",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.CharField(help_text="SHA-256 of the text.", max_length=64)),
                ("text", models.TextField()),
                ("reason", models.CharField(max_length=1000)),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "by",
                    models.ForeignKey(
                        help_text="Empty: installed.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["-number"]},
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
