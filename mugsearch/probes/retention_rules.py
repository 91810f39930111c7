"""The policy's section [retention]: what becomes of bookings and probes, and when. `retention.rules` carries it out."""

import datetime
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from mugsearch.gallery.identity import UNDER_AGE

Action = Literal["keep", "seal", "expunge"]

JUVENILE: Final = "juvenile"
LIMITS: Final = {"max_share": (1, 100, 5), "stale_months": (1, 120, 18), "probe_days": (1, 7300, 1095)}

# For a policy file of before there were rules: the same dispositions can be recorded, and nothing goes by itself.
KEEPING: Final[dict[str, Any]] = {
    "dismissed": {"label": "Charges dismissed", "action": "keep"},
    "acquitted": {"label": "Acquitted", "action": "keep"},
    "not-charged": {"label": "Not charged", "action": "keep"},
    "convicted": {"label": "Convicted", "action": "keep"},
}


@dataclass(frozen=True)
class Rule:
    """`code` is a disposition, or JUVENILE: everybody under age on the day of the booking, whatever the disposition.

    `after_days` is the window in which somebody may still object, counted from the day of the disposition (of the
    booking, for juveniles): the rule acts on the day after the last day of it.
    """

    code: str
    label: str
    action: Action
    after_days: int = 0
    unless_charge: tuple[str, ...] = ()
    unless_other: tuple[str, ...] = ()

    @property
    def acts(self) -> bool:
        return self.action != "keep"

    @property
    def window(self) -> datetime.timedelta:
        """From the day that counts to the first day on which the rule acts."""
        return datetime.timedelta(days=self.after_days + 1)

    @property
    def words(self) -> str:
        """The rule in one sentence, as people read it and as it stands on the orders made by it."""
        if not self.acts:
            return f"{self.label}: keep"
        text = f"{self.label}: {self.action} after {self.after_days} day{'' if self.after_days == 1 else 's'}"
        if self.unless_charge:
            text += f", unless the charge says {_or([f'“{word}”' for word in self.unless_charge])}"
        if self.unless_other:
            text += f", unless another booking of the person is {_or(list(self.unless_other))}"
        return text


@dataclass(frozen=True)
class Retention:
    """`rules`: of dispositions by code, in the file's order, then the one of juveniles if there is one."""

    max_share: int
    stale_months: int
    probe_days: int | None
    rules: dict[str, Rule] = field(default_factory=dict)

    @property
    def dispositions(self) -> dict[str, str]:
        """code -> label of what can be recorded."""
        return {code: rule.label for code, rule in self.rules.items() if code != JUVENILE}

    @property
    def acting(self) -> list[Rule]:
        return [rule for rule in self.rules.values() if rule.acts]


def read(raw: dict[str, Any]) -> Retention:
    """Of a whole policy file. Raises ValueError, KeyError or TypeError with what is wrong."""
    if "retention" not in raw:
        return Retention(5, 18, None, {code: _rule(code, dict(told)) for code, told in KEEPING.items()})
    section = dict(raw["retention"])
    numbers = {name: _number(section.pop(name, least[2]), name, *least[:2]) for name, least in LIMITS.items()}
    rules = {code: _rule(code, _table(code, told)) for code, told in section.items() if code != JUVENILE}
    if not rules:
        raise ValueError("[retention] names no disposition, such as [retention.dismissed]")
    if JUVENILE in section:
        rules[JUVENILE] = _rule(
            JUVENILE, {"label": f"Under {UNDER_AGE} at booking", **_table(JUVENILE, section[JUVENILE])}
        )
    for rule in rules.values():
        if unknown := [code for code in rule.unless_other if code not in rules or code == JUVENILE]:
            raise ValueError(
                f"unless_other in [retention.{rule.code}] names {unknown[0]!r}, which is no disposition here"
            )
    return Retention(rules=rules, **numbers)


def _rule(code: str, told: dict[str, Any]) -> Rule:
    where = f"[retention.{code}]"
    if code != code.casefold() or not code.replace("-", "").isalnum() or len(code) > 40:
        raise ValueError(f"{where} has to be named in small letters, digits and dashes, up to 40")
    label, action = told.pop("label", ""), told.pop("action", None)
    if not isinstance(label, str) or not label.strip() or not label.isprintable() or len(label) > 80:
        raise ValueError(f"{where} needs a label of up to 80 characters")
    if action not in ("keep", "seal", "expunge"):
        raise ValueError(f"action in {where} has to be keep, seal or expunge")
    rule: dict[str, Any] = {"code": code, "label": label, "action": cast(Action, action)}
    if action != "keep":
        # No default: how long people may object is for the agency to say.
        rule["after_days"] = _number(told.pop("after_days", None), f"after_days in {where}", 0, 3650)
        for name in ("unless_charge", "unless_other"):
            rule[name] = _words(told.pop(name, []), f"{name} in {where}")
    if told:
        raise ValueError(f"{where} has {next(iter(told))}, which means nothing there")
    return Rule(**rule)


def _table(code: str, told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise ValueError(f"retention.{code} means nothing; a disposition is a table, [retention.{code}]")
    return dict(told)


def _number(value: Any, name: str, lowest: int, highest: int) -> int:
    if type(value) is not int or not lowest <= value <= highest:  # True is none either
        raise ValueError(f"{name} has to be a whole number between {lowest} and {highest}")
    return value


def _words(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise ValueError(f"{name} has to be a list of words")
    if not all(word.isprintable() and len(word) <= 80 for word in value) or len(value) > 20:
        raise ValueError(f"{name} has up to 20 entries of up to 80 printable characters")
    return tuple(word.strip() for word in value)


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
