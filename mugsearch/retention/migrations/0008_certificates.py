"""The signed certificates of complete orders, which nobody changes or removes, whoever writes."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from mugsearch import going_back

FORWARD = """
CREATE FUNCTION retention_certificate_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF octet_length(NEW.signature) = 64 AND octet_length(NEW.public_key) = 32
           AND EXISTS (SELECT FROM retention_expungementorder WHERE id = NEW.order_id AND state = 'complete') THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'only a complete order is certified, and with a signature' USING ERRCODE = 'check_violation';
    END IF;
    RAISE EXCEPTION 'a certificate is neither changed nor removed' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER retention_certificate_rules BEFORE INSERT OR UPDATE OR DELETE ON retention_certificate
    FOR EACH ROW EXECUTE FUNCTION retention_certificate_rules();
CREATE TRIGGER retention_certificate_no_truncate BEFORE TRUNCATE ON retention_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION retention_certificate_rules();
"""
BACKWARD = "DROP FUNCTION retention_certificate_rules() CASCADE;"


class Migration(migrations.Migration):
    dependencies = [("retention", "0007_last_steps")]

    operations = [
        migrations.CreateModel(
            name="Certificate",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="certificate",
                        serialize=False,
                        to="retention.expungementorder",
                    ),
                ),
                (
                    "document",
                    models.BinaryField(help_text="JSON in UTF-8; the signature is of exactly these bytes."),
                ),
                ("signature", models.BinaryField(help_text="Ed25519, 64 bytes.")),
                ("public_key", models.BinaryField(help_text="32 bytes: of the key that was in use.")),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        going_back.refused_for("retention_certificate", "certificates are on record"),
    ]
