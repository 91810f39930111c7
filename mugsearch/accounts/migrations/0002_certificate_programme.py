"""What somebody was trained in. Not known of certificates recorded before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_people")]
    operations = [
        migrations.AddField(
            model_name="examinercertificate",
            name="programme",
            field=models.CharField(
                blank=True, default="", help_text="The training, as its certificate names it.", max_length=200
            ),
            preserve_default=False,
        ),
    ]
