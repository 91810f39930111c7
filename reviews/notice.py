"""The words of every lead (RULES 18). No option takes them away: page, print and API carry them.

Pages include partials/lead_notice.html, which says the same; a test holds the two together.
"""

from typing import Final

TITLE: Final = "Investigative lead only"
TEXT: Final = (
    "This is not a positive identification and not probable cause. It must never be the sole basis of an arrest, "
    "a search or a warrant. Independent evidence is needed before any action is taken against a person."
)
NOTICE: Final = f"{TITLE}. {TEXT}"
