"""From where on the auditors' desk points at something. The queries are in `mugsearch.auditing.signal_queries`."""

from typing import Final

# name in [signals] of the policy: (lowest, highest, default)
RULES: Final = {
    "case_searches": (2, 10_000, 20),
    "old_case_days": (30, 3650, 365),
    "same_face_cases": (2, 100, 3),
    "night_from": (0, 23, 22),
    "night_to": (0, 23, 6),
    "night_acts": (1, 1000, 5),
    "night_percent": (0, 100, 5),
    "night_baseline": (1, 10_000, 50),
    "views_without_search": (1, 10_000, 10),
    "median_times": (2, 100, 3),
    "median_least": (1, 10_000, 10),
    "median_weeks": (2, 52, 4),
    "pair_times": (2, 100, 2),
    "pair_least": (2, 10_000, 10),
    "random_percent": (1, 100, 2),
}
