"""When a schedule comes due: `rate(5 minutes)`, AWS's six-field `cron(0 3 * * ? *)`, or five classic cron fields.

Text → `parse` → a Rate or a Cron, both pure: `next_after(at)` is the first firing later than `at`. Times are Unix
seconds and rules are read in UTC, as AWS reads them. Firings fall on whole minutes.

The six fields follow the EventBridge user guide, "Cron expressions reference"; LW and L-n are read as Quartz does.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange, timegm
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NoReturn, Protocol

import msgspec

from millrace.errors import ConfigError

MINUTE_S = 60
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_MAX_RULE = 256  # characters; AWS's own limit on a schedule expression

DayRule = Callable[[int, int], Iterable[int]]  # (year, month) -> days of that month


class Schedule(Protocol):
    """A rule that comes due again and again."""

    def next_after(self, at: float) -> float | None:
        """The first firing later than `at`, None when there is none any more."""
        ...


def latest(schedule: Schedule, after: float, until: float) -> float | None:
    """The last firing in (after, until], None when there is none; however many lie between, it takes 30 steps."""
    first = schedule.next_after(after)
    if first is None or first > until:
        return None

    def is_past(minute: int) -> bool:
        due = schedule.next_after(minute * MINUTE_S - 1)
        return due is None or due > until

    minutes = range(int(first) // MINUTE_S, int(until) // MINUTE_S + 1)
    return float(minutes[bisect_left(minutes, True, key=is_past) - 1] * MINUTE_S)


class Rate(msgspec.Struct, frozen=True):
    """Every `every_s` seconds, counted from the Unix epoch, so that every process means the same moments."""

    every_s: int

    def next_after(self, at: float) -> float:
        return float((at // self.every_s + 1) * self.every_s)


class Cron(msgspec.Struct, frozen=True):
    """The moments that six sorted fields allow; `days` gives the days of a month."""

    minutes: Sequence[int]
    hours: Sequence[int]
    months: Sequence[int]
    years: Sequence[int]
    days: DayRule

    def next_after(self, at: float) -> float | None:
        # Not int(at) // 60 * 60 + 60: times before 1970 must round down too.
        start = datetime.fromtimestamp((at // MINUTE_S + 1) * MINUTE_S, UTC)
        for year, month in self._months_from(start):
            is_first_month = (year, month) == (start.year, start.month)
            for day in sorted(self.days(year, month)):
                if is_first_month and day < start.day:
                    continue
                today = is_first_month and day == start.day
                if time := self._time_from(start.hour, start.minute) if today else self._time_from(0, 0):
                    return float(timegm((year, month, day, *time, 0)))
        return None

    def _months_from(self, start: datetime) -> Iterator[tuple[int, int]]:
        for year in self.years[bisect_left(self.years, start.year) :]:
            yield from ((year, month) for month in self.months if (year, month) >= (start.year, start.month))

    def _time_from(self, hour: int, minute: int) -> tuple[int, int] | None:
        if hour in self.hours and minute <= self.minutes[-1]:
            return hour, self.minutes[bisect_left(self.minutes, minute)]
        later = self.hours[bisect_left(self.hours, hour + 1) :]
        return (later[0], self.minutes[0]) if later else None


def parse(rule: str) -> Schedule:
    """Read a rule; raises ConfigError that names the field, what was expected and what was found."""
    text = rule.strip()
    if len(text) > _MAX_RULE:
        _refuse(text[:40] + "…", f"at most {_MAX_RULE} characters", f"{len(text)}")
    if match := re.fullmatch(r"rate\((.*)\)", text):
        return _rate(text, match[1])
    match = re.fullmatch(r"cron\((.*)\)", text)
    fields = (match[1] if match else text).split()
    if match and len(fields) == 6:
        return _possible(text, _aws(text, fields))
    if len(fields) != 5:
        _refuse(text, "rate(5 minutes), cron(...) of six fields, or five classic fields", f"{len(fields)} fields")
    return _possible(text, _classic(text, fields))


def _refuse(rule: str, expected: str, got: str, field: str = "") -> NoReturn:
    where = f"schedule {rule!r}" + (f", field {field}" if field else "")
    raise ConfigError(f"{where}: expected {expected}, got {got}", "Six fields are: minute hour day month weekday year.")


def _rate(rule: str, inside: str) -> Rate:
    match = re.fullmatch(r"\s*([1-9]\d{0,8})\s+(minute|hour|day)(s?)\s*", inside)
    if not match:
        _refuse(rule, "a whole number and minutes, hours or days", repr(inside))
    value, unit = int(match[1]), match[2]
    if (value == 1) == bool(match[3]):  # AWS refuses `1 minutes` and `5 minute`
        _refuse(rule, f"{value} {unit}{'' if value == 1 else 's'}", repr(inside))
    return Rate(value * _UNITS[unit])


class _Field(msgspec.Struct, frozen=True):
    """One field's range of values: `names` stand for low, low + 1, …; a backward range wraps round the cycle."""

    name: str
    low: int
    high: int
    cycle: int
    names: Sequence[str] = ()

    def values(self, rule: str, text: str) -> set[int]:
        return {value for item in text.split(",") for value in self._item(rule, item)}

    def value(self, rule: str, text: str) -> int:
        """A number or a name as a value of this field."""
        if text.upper() in self.names:
            return self.low + self.names.index(text.upper())
        if not re.fullmatch(r"\d{1,4}", text) or not self.low <= int(text) <= self.high:
            names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
            _refuse(rule, f"{self.low}-{self.high}{names}", repr(text), self.name)
        return int(text)

    def _item(self, rule: str, item: str) -> Iterator[int]:
        span, slash, step_text = item.partition("/")
        step = self._step(rule, step_text) if slash else 1
        low_text, dash, high_text = span.partition("-")
        if span == "*":
            first, last = self.low, self.low + self.cycle - 1
        else:
            first = self.value(rule, low_text)
            last = self.value(rule, high_text) if dash else self.low + self.cycle - 1 if slash else first
        if last < first:
            last += self.cycle
        return (self.low + (value - self.low) % self.cycle for value in range(first, last + 1, step))

    def _step(self, rule: str, text: str) -> int:
        if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= self.cycle:
            _refuse(rule, f"a step of 1-{self.cycle} after the /", repr(text), self.name)
        return int(text)


_MINUTE = _Field("minute", 0, 59, 60)
_HOUR = _Field("hour", 0, 23, 24)
_DAY = _Field("day of month", 1, 31, 31)
_MONTH = _Field("month", 1, 12, 12, _MONTHS)
_WEEKDAY = _Field("day of week", 1, 7, 7, _DAYS)  # AWS: 1 is Sunday
_CLASSIC_WEEKDAY = _Field("day of week", 0, 7, 7, _DAYS)  # classic: 0 and 7 are Sunday
_YEAR = _Field("year", _FIRST_YEAR, _LAST_YEAR, _LAST_YEAR - _FIRST_YEAR + 1)


def _aws(rule: str, fields: Sequence[str]) -> Cron:
    minute, hour, day, month, weekday, year = fields
    if (day == "?") == (weekday == "?"):
        _refuse(rule, "? in exactly one of day of month and day of week", f"{day!r} and {weekday!r}")
    days = _days_of_month(rule, day) if weekday == "?" else _days_of_week(rule, weekday, _WEEKDAY)
    return _cron(rule, minute, hour, month, year, days)


def _classic(rule: str, fields: Sequence[str]) -> Cron:
    minute, hour, day, month, weekday = fields
    by_day = _days_of_month(rule, "*" if day == "?" else day)
    by_weekday = _days_of_week(rule, "*" if weekday == "?" else weekday, _CLASSIC_WEEKDAY)
    # POSIX crontab: where both are restricted a day needs to match only one of them.
    both = day[0] in "*?" or weekday[0] in "*?"

    def days(year: int, month: int) -> Iterable[int]:
        left, right = set(by_day(year, month)), set(by_weekday(year, month))
        return left & right if both else left | right

    return _cron(rule, minute, hour, month, "*", days)


def _cron(rule: str, minute: str, hour: str, month: str, year: str, days: DayRule) -> Cron:
    return Cron(
        tuple(sorted(_MINUTE.values(rule, minute))),
        tuple(sorted(_HOUR.values(rule, hour))),
        tuple(sorted(_MONTH.values(rule, month))),
        tuple(sorted(_YEAR.values(rule, year))),
        days,
    )


def _possible(rule: str, cron: Cron) -> Cron:
    """Refuse 30 February: any 28 years without a skipped leap day hold every month on every weekday."""
    if not any(cron.days(year, month) for year in range(2000, 2028) for month in cron.months):
        _refuse(rule, "a day that exists in one of its months", "a schedule that never fires", _DAY.name)
    return cron


def _days_of_month(rule: str, text: str) -> DayRule:
    rules = [_day_of_month(rule, item.upper()) for item in text.split(",")]
    return lambda year, month: {day for one in rules for day in one(year, month)}


def _day_of_month(rule: str, item: str) -> DayRule:
    if match := re.fullmatch(r"L(?:-(\d{1,2}))?", item):
        back = int(match[1] or 0)
        if back > 30:
            _refuse(rule, "L-0 to L-30", repr(item), _DAY.name)
        return lambda year, month: _existing(monthrange(year, month)[1] - back, year, month)
    if item == "LW":
        return lambda year, month: _nearest_workday(monthrange(year, month)[1], year, month)
    if item.endswith("W"):
        target = _DAY.value(rule, item[:-1])
        return lambda year, month: _nearest_workday(target, year, month)
    days = _DAY.values(rule, item)
    return lambda year, month: [day for day in days if day <= monthrange(year, month)[1]]


def _existing(day: int, year: int, month: int) -> Iterable[int]:
    return [day] if 1 <= day <= monthrange(year, month)[1] else []


def _nearest_workday(target: int, year: int, month: int) -> Iterable[int]:
    """Monday to Friday nearest to a day, without leaving its month; none where the month has no such day."""
    first, length = monthrange(year, month)
    if target > length:
        return []
    weekday = (first + target - 1) % 7  # 0 is Monday
    if weekday == 5:
        return [target - 1 if target > 1 else target + 2]
    if weekday == 6:
        return [target + 1 if target < length else target - 2]
    return [target]


def _days_of_week(rule: str, text: str, field: _Field) -> DayRule:
    if "#" in text and "," in text:
        _refuse(rule, "one expression only where # is used", repr(text), field.name)
    rules = [_day_of_week(rule, item.upper(), field) for item in text.split(",")]
    return lambda year, month: {day for one in rules for day in one(year, month)}


def _day_of_week(rule: str, item: str, field: _Field) -> DayRule:
    if "#" in item:
        name, _, nth = item.partition("#")
        if nth not in {"1", "2", "3", "4", "5"}:
            _refuse(rule, "1-5 after the #", repr(nth), field.name)
        weekday, index = field.value(rule, name) - field.low, int(nth) - 1
        return lambda year, month: _on_weekday(weekday, year, month)[index : index + 1]
    if item == "L":
        item = "SAT"
    elif item.endswith("L"):
        last = field.value(rule, item[:-1]) - field.low
        return lambda year, month: _on_weekday(last, year, month)[-1:]
    weekdays = [value - field.low for value in field.values(rule, item)]
    return lambda year, month: [day for weekday in weekdays for day in _on_weekday(weekday, year, month)]


def _on_weekday(weekday: int, year: int, month: int) -> Sequence[int]:
    """The days of a month on a weekday; 0 and 7 are Sunday."""
    first, length = monthrange(year, month)  # first: 0 is Monday
    return range(1 + (weekday - 1 - first) % 7, length + 1, 7)
