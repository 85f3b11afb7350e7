"""Which documents are meant: conditions on payload fields, joined by &, | and ~.

    (field("year") >= 2020) & field("tags").one_of("animals", "pets") & ~field("draft").exists()
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .v1 import common_pb2 as wire
from .values import Value, to_value


@dataclass(frozen=True, eq=False)
class Filter:
    """A condition; join several with &, | and ~."""

    wire: wire.Filter

    def __and__(self, other: Filter) -> Filter:
        return all_of(self, other)

    def __or__(self, other: Filter) -> Filter:
        return any_of(self, other)

    def __invert__(self) -> Filter:
        # A word of the language, which cannot stand before `=`.
        fields: dict[str, Any] = {"not": self.wire}
        return Filter(wire.Filter(**fields))

    def __bool__(self) -> bool:
        raise TypeError("join filters with &, | and ~, not with `and`, `or` and `not`, and write no a < b < c")


def _list(filters: tuple[Filter, ...]) -> wire.FilterList:
    return wire.FilterList(filters=[one.wire for one in filters])


def all_of(*filters: Filter) -> Filter:
    """Every one holds."""
    return Filter(wire.Filter(all=_list(filters)))


def any_of(*filters: Filter) -> Filter:
    """At least one holds."""
    return Filter(wire.Filter(any=_list(filters)))


def at_least(count: int, *filters: Filter) -> Filter:
    """So many of them hold."""
    return Filter(wire.Filter(at_least=wire.AtLeast(count=count, filters=[one.wire for one in filters])))


def ids(*names: str) -> Filter:
    """One of these documents."""
    return Filter(wire.Filter(ids=wire.DocumentIds(ids=names)))


@dataclass(frozen=True, eq=False)
class Field:
    """A payload field; nested ones are named `outer.inner`. For a list, one element has to satisfy it."""

    path: str

    def _holds(self, **condition: Any) -> Filter:
        return Filter(wire.Filter(field=wire.FieldCondition(path=self.path, **condition)))

    def __eq__(self, value: Value) -> Filter:  # type: ignore[override]
        return self._holds(equals=to_value(value))

    def __ne__(self, value: Value) -> Filter:  # type: ignore[override]
        return ~(self == value)

    __hash__ = None  # type: ignore[assignment]

    def __gt__(self, value: Value) -> Filter:
        return self._holds(range=wire.Range(greater=to_value(value)))

    def __ge__(self, value: Value) -> Filter:
        return self._holds(range=wire.Range(greater_or_equal=to_value(value)))

    def __lt__(self, value: Value) -> Filter:
        return self._holds(range=wire.Range(less=to_value(value)))

    def __le__(self, value: Value) -> Filter:
        return self._holds(range=wire.Range(less_or_equal=to_value(value)))

    def one_of(self, *values: Value) -> Filter:
        """Equals one of these."""
        return self._holds(**{"in": wire.Array(values=[to_value(value) for value in values])})

    def none_of(self, *values: Value) -> Filter:
        """Has a value that is none of these."""
        return self._holds(**{"except": wire.Array(values=[to_value(value) for value in values])})

    def exists(self) -> Filter:
        """Has a value that is not null."""
        return self._holds(exists=True)

    def is_null(self) -> Filter:
        """Is null, or has an element that is."""
        return self._holds(null=True)

    def has_words(self, text: str) -> Filter:
        """Has all of these words, in any order."""
        return self._holds(text=text)

    def has_phrase(self, text: str) -> Filter:
        """Has these words one after another."""
        return self._holds(phrase=text)

    def starts_with(self, text: str) -> Filter:
        """Is a text that starts with this."""
        return self._holds(prefix=text)

    def length(self, at_least: int | None = None, at_most: int | None = None) -> Filter:
        """Is a list with so many elements."""
        bounds = wire.Range(
            greater_or_equal=None if at_least is None else to_value(at_least),
            less_or_equal=None if at_most is None else to_value(at_most),
        )
        return self._holds(length=bounds)

    def within(self, south: float, west: float, north: float, east: float) -> Filter:
        """Is a place in this box, in degrees."""
        return self._holds(geo_box=wire.GeoBox(south=south, west=west, north=north, east=east))

    def near(self, lat: float, lon: float, meters: float) -> Filter:
        """Is a place not farther away, in degrees."""
        return self._holds(geo_radius=wire.GeoRadius(lat=lat, lon=lon, meters=meters))

    def has(self, filter: Filter) -> Filter:
        """One object satisfies all of the filter by itself; paths within begin at the object."""
        return Filter(wire.Filter(nested=wire.Nested(path=self.path, filter=filter.wire)))


def field(path: str) -> Field:
    """Returns the field of that name, to be compared."""
    return Field(path)
