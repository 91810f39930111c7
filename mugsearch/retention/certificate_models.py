"""What was certified of an order, byte by byte as it was signed."""

from django.db import models
from django.utils import timezone


class Certificate(models.Model):
    """The signed certificate of one complete order. The same bytes are handed out for good, whatever becomes of the
    signing key. PostgreSQL takes one of a complete order only, and refuses to change or remove any (migration 0008).
    """

    order = models.OneToOneField(
        "retention.ExpungementOrder", on_delete=models.PROTECT, primary_key=True, related_name="certificate"
    )
    document = models.BinaryField(help_text="JSON in UTF-8; the signature is of exactly these bytes.")
    signature = models.BinaryField(help_text="Ed25519, 64 bytes.")
    public_key = models.BinaryField(help_text="32 bytes: of the key that was in use.")
    made_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return str(self.order_id)
