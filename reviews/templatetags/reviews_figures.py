from django import template

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """0.153 as "15 %"; below ten with one digit, for 0.4 % is not nothing."""
    if share is None:
        return "–"
    return f"{share * 100:.0f} %" if share >= 0.0995 or share == 0 else f"{share * 100:.1f} %"
