"""How a page shows what was drawn."""

from django import template

from reviews.worksheet import Outline, Row, outlines

register = template.Library()


@register.filter
def drawn_on(rows: list[Row], image: str) -> list[Outline]:
    """On the "probe" or on the "candidate"."""
    return outlines(rows, image)
