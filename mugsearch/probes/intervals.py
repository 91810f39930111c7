"""How sure a share is. Pure."""

from math import sqrt

_Z = 1.959964  # of the normal distribution, two-sided 95 %


def wilson(count: int, tries: int) -> tuple[float, float]:
    """Wilson's interval of 95 % (1927) of the share `count` has of `tries`. ZeroDivisionError without a try."""
    rate = count / tries
    middle, scale = rate + _Z * _Z / (2 * tries), 1 + _Z * _Z / tries
    reach = _Z * sqrt(rate * (1 - rate) / tries + _Z * _Z / (4 * tries * tries))
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
