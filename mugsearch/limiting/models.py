"""How much was done in a window of time, by whom or from where."""

from typing import ClassVar

from django.db import models


class Window(models.Model):
    """`whose`: "user:<id>", "name:<digest of a typed user name>" or "address:<address>". Kept for a day."""

    kind = models.CharField(max_length=16)
    whose = models.CharField(max_length=80)
    began = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "whose", "began"], name="one_count_per_window"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.whose} {self.count}"
