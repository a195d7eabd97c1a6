"""Rules against the calendar: known dates, and every firing of random rules against a minute-by-minute search."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.cron import Rate, latest, parse
from millrace.errors import ConfigError


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("rule", "after", "due"),
    [
        ("cron(0 3 * * ? *)", "2026-11-21 01:00", "2026-11-21 03:00"),
        ("cron(0 3 * * ? *)", "2026-11-21 03:00", "2026-11-22 03:00"),
        ("cron(0 3 * * ? *)", "2026-12-31 23:59:59", "2027-01-01 03:00"),
        ("cron(0/15 8-17 ? * MON-FRI *)", "2026-11-20 17:45", "2026-11-23 08:00"),
        ("cron(30 10 L * ? *)", "2028-02-01", "2028-02-29 10:30"),
        ("cron(0 0 L-2 * ? *)", "2026-11-01", "2026-11-28 00:00"),
        ("cron(0 9 LW * ? *)", "2026-01-01", "2026-01-30 09:00"),  # the 31st is a Saturday
        ("cron(0 9 LW 5 ? *)", "2026-05-01", "2026-05-29 09:00"),  # the 31st is a Sunday
        ("cron(0 9 1W 8 ? *)", "2026-07-30", "2026-08-03 09:00"),  # the 1st is a Saturday
        ("cron(0 9 15W 8 ? *)", "2026-08-01", "2026-08-14 09:00"),  # the 15th is a Saturday
        ("cron(0 9 16W 8 ? *)", "2026-08-01", "2026-08-17 09:00"),  # the 16th is a Sunday
        ("cron(0 9 5W 8 ? *)", "2026-08-01", "2026-08-05 09:00"),
        ("cron(0 9 31W * ? *)", "2026-09-01", "2026-10-30 09:00"),
        ("cron(0 0 ? * 3#2 *)", "2026-11-01", "2026-11-10 00:00"),  # the second Tuesday
        ("cron(0 0 ? * FRI#5 *)", "2026-11-01", "2027-01-29 00:00"),
        ("cron(0 0 ? * 6L *)", "2026-11-01", "2026-11-27 00:00"),  # the last Friday
        ("cron(0 0 ? * L *)", "2026-11-21 00:00", "2026-11-28 00:00"),  # L alone: Saturday
        ("cron(0 0 ? * FRI-MON *)", "2026-11-18", "2026-11-20 00:00"),
        ("cron(0 22-1 * * ? *)", "2026-11-18 23:30", "2026-11-19 00:00"),
        ("cron(0 0 1 NOV-FEB/2 ? *)", "2026-11-18", "2027-01-01 00:00"),
        ("cron(0 0 29 2 ? *)", "2026-01-01", "2028-02-29 00:00"),
        ("cron(0 0 1,15 JAN,jul ? 2027-2028)", "2026-01-01", "2027-01-01 00:00"),
        ("cron(0 0 1 1 ? 2020)", "2026-01-01", None),
        ("cron(0 0 1 1 ? *)", "2199-06-01", None),
        ("*/10 * * * *", "2026-11-21 01:05", "2026-11-21 01:10"),
        ("cron(5 4 * * *)", "2026-11-21 04:05", "2026-11-22 04:05"),
        ("0 0 13 * FRI", "2026-11-21", "2026-11-27 00:00"),  # either is enough
        ("0 0 */2 * MON", "2026-11-21", "2026-11-23 00:00"),  # a star needs both
        ("0 0 ? * 7", "2026-11-21", "2026-11-22 00:00"),  # 7 is Sunday
        ("0 0 * * 6-1", "2026-11-22", "2026-11-23 00:00"),
        ("rate(5 minutes)", "2026-11-21 01:05", "2026-11-21 01:10"),
        ("rate(1 hour)", "2026-11-21 01:05", "2026-11-21 02:00"),
        ("rate(2 days)", "2026-11-21 00:00", "2026-11-23 00:00"),
        (" rate( 1 minute ) ", "2026-11-21 01:05:59", "2026-11-21 01:06"),
    ],
)
def test_the_next_firing(rule: str, after: str, due: str | None) -> None:
    assert shown(parse(rule).next_after(at(after))) == due


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("cron(60 3 * * ? *)", "field minute: expected 0-59, got '60'"),
        ("cron(0 24 * * ? *)", "field hour: expected 0-23, got '24'"),
        ("cron(0 3 0 * ? *)", "field day of month: expected 1-31, got '0'"),
        ("cron(0 3 * JANUARY ? *)", "field month: expected 1-12 or JAN-DEC, got 'JANUARY'"),
        ("cron(0 3 ? * 0 *)", "field day of week: expected 1-7 or SUN-SAT, got '0'"),
        ("cron(0 3 * * ? 1969)", "field year: expected 1970-2199, got '1969'"),
        ("cron(0 3 * * * *)", "expected ? in exactly one of day of month and day of week, got '*' and '*'"),
        ("cron(0 3 ? * ? *)", "expected ? in exactly one"),
        ("cron(*/0 3 * * ? *)", "field minute: expected a step of 1-60 after the /, got '0'"),
        ("cron(*/x 3 * * ? *)", "a step of 1-60"),
        ("cron(1, 3 * * ? *)", "field minute: expected 0-59, got ''"),
        ("cron(5- 3 * * ? *)", "field minute: expected 0-59, got ''"),
        ("cron(0 3 ? * 3#6 *)", "field day of week: expected 1-5 after the #, got '6'"),
        ("cron(0 3 ? * 3#1,6#3 *)", "one expression only where # is used"),
        ("cron(0 3 L-31 * ? *)", "L-0 to L-30"),
        ("cron(0 3 WW * ? *)", "field day of month: expected 1-31, got 'W'"),
        ("cron(0 3 30 2 ? *)", "a schedule that never fires"),
        ("cron(0 3 31W 4,6 ? *)", "a schedule that never fires"),
        ("cron(0 3 * *)", "got 4 fields"),
        ("0 3 * * ? *", "got 6 fields"),
        ("", "got 0 fields"),
        ("rate(1 minutes)", "expected 1 minute, got '1 minutes'"),
        ("rate(5 minute)", "expected 5 minutes, got '5 minute'"),
        ("rate(0 minutes)", "a whole number and minutes, hours or days"),
        ("rate(5 seconds)", "a whole number and minutes, hours or days"),
        ("rate(5 minutes) x", "got 3 fields"),
        ("*" * 300, "at most 256 characters, got 300"),
    ],
)
def test_a_fault_says_where_expected_and_got(rule: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(rule)
    assert says in caught.value.problem


moments = st.integers(int(at("2023-12-01")), int(at("2029-01-01")))


def field(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    item = st.one_of(
        value.map(str),
        st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.tuples(value, st.integers(1, high - low)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


def allowed(text: str, low: int, high: int) -> set[int]:
    """What a field means, written another way than the parser: try each value."""
    found = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        top = int(last) if last else high if step else int(first)
        found |= {v for v in range(low, high + 1) if int(first) <= v <= top and (v - int(first)) % int(step or 1) == 0}
    return found


@given(minute=field(0, 59), hour=field(0, 23), weekday=field(1, 7), start=moments)
@settings(max_examples=60, deadline=None)
def test_next_after_is_what_a_search_minute_by_minute_finds(minute: str, hour: str, weekday: str, start: int) -> None:
    minutes, hours, weekdays = allowed(minute, 0, 59), allowed(hour, 0, 23), allowed(weekday, 1, 7)
    moment = datetime.fromtimestamp(start // 60 * 60 + 60, UTC)
    while not (moment.isoweekday() % 7 + 1 in weekdays and moment.hour in hours):
        moment = moment.replace(minute=0) + timedelta(hours=1)
    while not (moment.isoweekday() % 7 + 1 in weekdays and moment.hour in hours and moment.minute in minutes):
        moment += timedelta(minutes=1)
    assert parse(f"cron({minute} {hour} ? * {weekday} *)").next_after(start) == moment.timestamp()


@given(day=field(1, 31), month=field(1, 12), start=moments)
@settings(max_examples=60, deadline=None)
def test_days_of_months_are_what_a_search_day_by_day_finds(day: str, month: str, start: int) -> None:
    days, months = allowed(day, 1, 31), allowed(month, 1, 12)
    rule = f"cron(0 0 {day} {month} ? *)"
    if not any(monthrange(2024, month)[1] >= day for month in months for day in days):
        with pytest.raises(ConfigError):
            parse(rule)
        return
    moment = datetime.fromtimestamp(start // 86400 * 86400 + 86400, UTC)
    while not (moment.day in days and moment.month in months):
        moment += timedelta(days=1)
    assert parse(rule).next_after(start) == moment.timestamp()


@given(
    rule=st.sampled_from(["rate(7 minutes)", "cron(0 3 * * ? *)", "cron(* 5 1 JAN ? *)", "cron(0 0 29 2 ? *)"]),
    after=moments,
    length=st.integers(0, 40 * 86400),
)
@settings(max_examples=100, deadline=None)
def test_latest_is_the_last_of_all_firings_between(rule: str, after: int, length: int) -> None:
    schedule, until = parse(rule), after + length
    found, due = None, schedule.next_after(after)
    while due is not None and due <= until:
        found, due = due, schedule.next_after(due)
    assert latest(schedule, after, until) == found


def test_latest_does_not_walk_through_the_firings_of_a_century() -> None:
    calls = 0

    class Counted(Rate):
        def next_after(self, at: float) -> float:
            nonlocal calls
            calls += 1
            return super().next_after(at)

    assert latest(Counted(60), 0, 3_155_760_030) == 3_155_760_000
    assert calls < 40
    assert latest(parse("cron(* * 1 1 ? 2020)"), at("2019-01-01"), at("2026-01-01")) == at("2020-01-01 23:59")
