"""When an alarm goes off: the tables of the CloudWatch User Guide."""

from __future__ import annotations

import pytest

from lab import alarms
from lab.alarms import ALARM, OK, UNKNOWN, Rule

TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
NOW = "the state that it has"


def points(text: str) -> list[float | None]:
    """0 is not breaching, X is, - is missing; the newest last."""
    return [{"0": 0.0, "X": 9.0, "-": None}[sign] for sign in text.split()]


def rule(periods: int, datapoints: int, missing: str = "missing") -> Rule:
    return Rule("GreaterThanThreshold", 5, periods, datapoints, missing)


# "Configuring how CloudWatch alarms treat missing data", the tables for 3 of 3 and 2 of 3.
@pytest.mark.parametrize(
    ("text", "datapoints", "states"),
    [
        ("0 - X - X", 3, (OK, OK, OK, OK)),
        ("0 - - - -", 3, (OK, OK, OK, OK)),
        ("- - - - -", 3, (UNKNOWN, NOW, ALARM, OK)),
        ("0 X X - X", 3, (ALARM, ALARM, ALARM, ALARM)),
        ("- - X - -", 3, (ALARM, NOW, ALARM, OK)),
        ("0 - X - X", 2, (ALARM, ALARM, ALARM, ALARM)),
        ("0 0 X 0 X", 2, (ALARM, ALARM, ALARM, ALARM)),
        ("0 - X - -", 2, (OK, OK, ALARM, OK)),
        ("- - - - 0", 2, (OK, OK, ALARM, OK)),
        ("- - - X -", 2, (ALARM, NOW, ALARM, OK)),
        # Too young to be one alone: no premature alarm.
        ("- - - - X", 2, (NOW, NOW, ALARM, OK)),
    ],
)
def test_missing_data(text: str, datapoints: int, states: tuple[str, ...]) -> None:
    found = [alarms.state(points(text), rule(3, datapoints, treatment), NOW) for treatment in TREATMENTS]
    assert found == list(states)


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [False, False, True]),
        ("GreaterThanOrEqualToThreshold", [False, True, True]),
        ("LessThanThreshold", [True, False, False]),
        ("LessThanOrEqualToThreshold", [True, True, False]),
    ],
)
def test_comparisons(comparison: str, breaching: list[bool]) -> None:
    wanted = Rule(comparison, 5, 1, 1)
    assert [alarms.state([value], wanted, OK) == ALARM for value in (4, 5, 6)] == breaching


def test_it_comes_back() -> None:
    wanted = rule(2, 2)
    assert alarms.state(points("0 0 X X"), wanted, OK) == ALARM
    assert alarms.state(points("0 X X 0"), wanted, ALARM) == OK


def test_statistics() -> None:
    values = [float(number) for number in range(1, 101)]
    names = ("Average", "Maximum", "Minimum", "Sum", "SampleCount", "p95", "p50", "p100")
    assert [alarms.statistic(values, name) for name in names] == [50.5, 100, 1, 5050, 100, 95, 50, 100]
    assert alarms.statistic([], "Sum") is None
    with pytest.raises(ValueError, match="tm99"):
        alarms.statistic([1], "tm99")


def test_reasons() -> None:
    said = alarms.reason(points("0 X X"), rule(3, 2), ALARM)
    assert said == ("Threshold Crossed: 2 out of the last 3 datapoints [9, 9] were greater than the threshold (5).")
    assert alarms.reason(points("X 0"), rule(2, 2), OK).endswith("[0] was not greater than the threshold (5).")
    assert alarms.reason(points("- -"), rule(2, 2), UNKNOWN) == "Insufficient Data: 2 datapoints were unknown."
