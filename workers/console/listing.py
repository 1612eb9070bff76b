"""Lists over large tables: filters, facets, order and parts, all bounded, so that a page is fast however many rows there are.

An address says what is asked: `is.NAME` a value, `no.NAME` none, `min.NAME` and `max.NAME` a range, `q` part of a document's id, `sort`, `dir`, `page`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from sqlalchemy import ColumnElement, Connection, Dialect, FromClause, Select, and_, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from starlette.requests import Request

from suites.errors import UsageError, unknown
from workers.console.asked import address, number, plain, whole, words
from workers.console.asking import count_to

PAGE_ROWS = 50
# so many rows are counted, looked at for facets, and leafed through
BOUND = 10_000
# values of a facet that are listed
FACET_VALUES = 12
# ids that a search finds at most
FOUND_IDS = 500
SEARCH_CHARS = 200

T = TypeVar("T")
Kind = Literal["text", "integer", "number"]


@dataclass(frozen=True)
class Field:
    """A column of a list.

    `facet`: its values are few, and are counted; `parts`: it holds several labels, joined by commas; `score`: 0 to 1, a bar;
    `truth`: what is asked where it is to be 1; `indexed`: the same, as the index of those rows has it. Not `sortable`: no index gives
    the order, and there may be millions of rows.
    """

    name: str
    kind: Kind
    column: ColumnElement[Any]
    words: str
    facet: bool = False
    parts: bool = False
    score: bool = False
    truth: ColumnElement[bool] | None = None
    indexed: ColumnElement[bool] | None = None
    sortable: bool = True
    shown: bool = True

    @property
    def is_number(self) -> bool:
        return self.kind != "text"


@dataclass(frozen=True)
class Asked:
    """What an address asks of a list."""

    path: str
    kept: Mapping[str, str]
    search: str = ""
    equal: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    sort: str = ""
    descending: bool = True
    page: int = 1

    @property
    def address(self) -> str:
        """The address that asks this."""
        return address(self.path, self.params())

    def params(self) -> list[tuple[str, object]]:
        """What the address holds, in one order."""
        said: list[tuple[str, object]] = [*self.kept.items(), ("q", self.search)]
        said += [(f"is.{name}", value) for name, value in self.equal.items()] + [(f"no.{name}", 1) for name in sorted(self.absent)]
        said += [(f"min.{name}", _short(value)) for name, value in self.least.items()] + [(f"max.{name}", _short(value)) for name, value in self.most.items()]
        said += [("sort", self.sort), ("dir", "" if self.descending else "asc"), ("page", self.page if self.page > 1 else "")]
        return said

    def to(self, **changes: Any) -> str:
        """The address that asks this with changes, from its first part on."""
        return replace(self, **{"page": 1} | changes).address

    def without(self, name: str) -> Asked:
        """The same without what is asked of one column."""
        return replace(
            self, equal=_except(self.equal, name), least=_except(self.least, name), most=_except(self.most, name), absent=self.absent - {name}, page=1
        )

    def names(self) -> set[str]:
        """The columns that something is asked of."""
        return {*self.equal, *self.absent, *self.least, *self.most}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a facet, how many rows have it, and the address that asks for it, or no more."""

    value: str | None
    n: int
    address: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """One thing that is asked, and the address that asks it no more."""

    words: str
    address: str


@dataclass(frozen=True)
class Part:
    """A part of a list: its rows, and what may be asked next."""

    asked: Asked
    fields: Sequence[Field]
    rows: Sequence[Mapping[str, Any]]
    n: int
    facets: Mapping[str, Sequence[Value]]
    n_looked_at: int
    chips: Sequence[Chip]
    too_many_ids: bool
    statement: str

    @property
    def first(self) -> int:
        return (self.asked.page - 1) * PAGE_ROWS + 1

    @property
    def count(self) -> str:
        return f"{BOUND:,}+" if self.n > BOUND else f"{self.n:,}"

    @property
    def previous(self) -> str | None:
        return replace(self.asked, page=self.asked.page - 1).address if self.asked.page > 1 else None

    @property
    def next(self) -> str | None:
        has_more = self.first + len(self.rows) <= min(self.n, BOUND)
        return replace(self.asked, page=self.asked.page + 1).address if has_more else None

    @property
    def is_last_of_bound(self) -> bool:
        """Whether there are more rows than can be leafed through."""
        return self.n > BOUND and self.next is None


def asked_of(request: Request, fields: Mapping[str, Field], *, kept: Mapping[str, str], sort: str) -> Asked:
    """What the request asks. Raises UsageError naming what it does not know."""
    equal: dict[str, str] = {}
    absent: set[str] = set()
    ranges: dict[str, dict[str, float]] = {"min": {}, "max": {}}
    for name, value in request.query_params.multi_items():
        what, dot, column = name.partition(".")
        if not dot or what not in ("is", "no", "min", "max") or (value == "" and what != "is"):
            continue
        if column not in fields:
            raise UsageError(unknown("column", column[:80], fields), "no_column")
        if what == "is":
            equal[column] = plain(value)
        elif what == "no":
            absent.add(column)
        elif fields[column].is_number and (bound := number(value, name)) is not None:
            ranges[what][column] = bound
    wanted = request.query_params.get("sort") or sort
    if wanted not in fields:
        raise UsageError(unknown("column to order by", wanted[:80], fields), "no_column")
    return Asked(
        path=request.scope["path"],
        kept=kept,
        search=words(request, "q", SEARCH_CHARS),
        equal={name: value for name, value in equal.items() if value != ""},
        absent=frozenset(absent),
        least=ranges["min"],
        most=ranges["max"],
        sort=wanted if fields[wanted].sortable else sort,
        descending=request.query_params.get("dir") != "asc",
        page=whole(request, "page", 1, 1, BOUND // PAGE_ROWS),
    )


@dataclass(frozen=True)
class Source:
    """What a list is made from: rows, those of them that are meant `always`, the columns, and how ids of documents are found.

    `by_index`: the same as `always`, written so that an index leads to the rows in the order that is asked for; facets look at the newest without it.
    `bare`: enough to count the rows where no id is searched for.
    """

    rows: FromClause
    fields: Mapping[str, Field]
    ids: Select[tuple[str]]
    id_column: ColumnElement[str]
    always: Sequence[ColumnElement[bool]] = ()
    hidden: Sequence[ColumnElement[Any]] = ()
    ties: Sequence[ColumnElement[Any]] = ()
    newest: Sequence[ColumnElement[Any]] = ()
    by_index: Sequence[ColumnElement[bool]] | None = None
    bare: FromClause | None = None


def part(connection: Connection, source: Source, asked: Asked, columns: Sequence[str]) -> Part:
    """The part of the list that is asked for."""
    shown = [source.fields[name] for name in columns]
    keys = _keys(connection, source, asked.search)
    where = _where(source, asked, keys)
    ordered = _ordered(source, asked, where)
    query = ordered.with_only_columns(*(one.column.label(one.name) for one in shown), *source.hidden)
    offset = (asked.page - 1) * PAGE_ROWS
    rows = [dict(row._mapping) for row in connection.execute(query.limit(PAGE_ROWS).offset(offset))]
    n = offset + len(rows) if len(rows) < PAGE_ROWS and (rows or not offset) else count_to(connection, _counting(source, asked, where), BOUND)
    facets, n_looked_at = _facets(connection, source, asked, keys)
    literally = _ordered(source, asked, _where(source, asked, None)).with_only_columns(*(one.column.label(one.name) for one in shown))
    return Part(
        asked=asked,
        fields=shown,
        rows=rows,
        n=n,
        facets=facets,
        n_looked_at=n_looked_at,
        chips=list(_chips(asked)),
        too_many_ids=keys is not None and len(keys) >= FOUND_IDS,
        statement=statement_of(literally.limit(PAGE_ROWS), connection.dialect),
    )


def statement_of(query: Select[Any], dialect: Dialect) -> str:
    """A query as it may be typed."""
    # with its own parameter style the dialect of psycopg would write every % twice
    plain: Dialect = sqlite.dialect() if dialect.name == "sqlite" else postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return str(query.compile(dialect=plain, compile_kwargs={"literal_binds": True})).replace(" \n", "\n")


def _where(source: Source, asked: Asked, keys: Sequence[str] | None) -> list[ColumnElement[bool]]:
    """The rows of a list."""
    by_index = source.by_index is not None
    return [*(source.by_index or source.always), *conditions(source, asked, keys, by_index=by_index)]


def conditions(source: Source, asked: Asked, keys: Sequence[str] | None, *, by_index: bool = False) -> Iterator[ColumnElement[bool]]:
    """What is asked, in SQL. `keys`: the ids that the search found; None: they are looked for row by row."""
    if asked.search:
        yield source.id_column.in_(keys) if keys is not None else like(source.id_column, asked.search)
    for name, value in asked.equal.items():
        one = source.fields[name]
        if one.truth is not None and one.indexed is not None and value == "1":
            yield one.indexed if by_index else one.truth
        elif one.parts:
            yield like(literal(", ").concat(one.column).concat(literal(",")), f", {value},")
        else:
            yield one.column == (_number(value, name) if one.is_number else value)
    for name in sorted(asked.absent):
        yield source.fields[name].column.is_(None)
    for name, least in asked.least.items():
        yield source.fields[name].column >= least
    for name, most in asked.most.items():
        yield source.fields[name].column <= most


def like(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """Whether a column holds a part, letter by letter; capitals do not matter."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.ilike(f"%{escaped}%", escape="\\")


def _except(given: Mapping[str, T], name: str) -> dict[str, T]:
    return {each: value for each, value in given.items() if each != name}


def _number(value: str, name: str) -> float:
    found = number(value, name)
    if found is None:
        raise UsageError(f"{name}: expected a number, as 0.5.")
    return found


def _short(value: float) -> str:
    return f"{value:.12g}"


def _keys(connection: Connection, source: Source, search: str) -> list[str] | None:
    """The ids of documents that hold what is searched for, at most FOUND_IDS: they are found in an index, which rows are not."""
    if not search:
        return None
    column = next(iter(source.ids.selected_columns))
    exact = source.ids.where(column == search).limit(1)
    found = list(connection.execute(exact).scalars())
    more = connection.execute(source.ids.where(like(column, search)).distinct().limit(FOUND_IDS)).scalars()
    return list(dict.fromkeys([*found, *more]))[:FOUND_IDS]


def _selected(source: Source, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
    return select(literal(1)).select_from(source.rows).where(and_(True, *where))


def _counting(source: Source, asked: Asked, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
    rows = source.rows if asked.search or source.bare is None else source.bare
    return select(literal(1)).select_from(rows).where(and_(True, *where))


def _ordered(source: Source, asked: Asked, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
    column = source.fields[asked.sort].column
    order = [one.desc() if asked.descending else one.asc() for one in (column, *source.ties)]
    return _selected(source, where).order_by(*order)


def _facets(connection: Connection, source: Source, asked: Asked, keys: Sequence[str] | None) -> tuple[dict[str, list[Value]], int]:
    """The values of each facet with their counts, in the newest rows; what is asked of a facet's own column does not narrow it."""
    fields = [one for one in source.fields.values() if one.facet]
    free = [one for one in fields if one.name not in asked.names()]
    looked = _sample(connection, source, asked, keys, free)
    counted = {one.name: _counted(one, [row[i] for row in looked]) for i, one in enumerate(free)}
    for one in fields:
        if one.name in asked.names():
            counted[one.name] = _counted(one, [row[0] for row in _sample(connection, source, asked.without(one.name), keys, [one])])
    return {one.name: _values(asked, one, counted[one.name]) for one in fields}, min(len(looked), BOUND)


def _sample(connection: Connection, source: Source, asked: Asked, keys: Sequence[str] | None, fields: Sequence[Field]) -> Sequence[Sequence[Any]]:
    where = [*source.always, *conditions(source, asked, keys)]
    query = _counting(source, asked, where).with_only_columns(*(one.column for one in fields), literal(1))
    return connection.execute(query.order_by(*source.newest).limit(BOUND)).all()


def _counted(one: Field, values: Iterable[Any]) -> Counter[str | None]:
    counts: Counter[str | None] = Counter(values)
    if not one.parts:
        return counts
    split: Counter[str | None] = Counter()
    for value, n in counts.items():
        for label in value.split(", ") if value else [None]:
            split[label] += n
    return split


def _values(asked: Asked, one: Field, counts: Counter[str | None]) -> list[Value]:
    on = asked.equal.get(one.name)
    if on is not None and on not in counts:
        counts[on] = 0
    ranked = sorted(counts.items(), key=lambda item: (item[0] != on if on else False, -item[1], item[0] or ""))[:FACET_VALUES]
    bare = asked.without(one.name)
    made = []
    for value, n in ranked:
        is_on = value == on if value is not None else one.name in asked.absent
        narrowed = replace(bare, absent=bare.absent | {one.name}) if value is None else replace(bare, equal={**bare.equal, one.name: value})
        made.append(Value(value, n, bare.address if is_on else narrowed.address, is_on))
    return made


def _chips(asked: Asked) -> Iterator[Chip]:
    if asked.search:
        yield Chip(f"id holds {asked.search}", asked.to(search=""))
    for name, value in asked.equal.items():
        yield Chip(f"{name} = {value}", asked.to(equal=_except(asked.equal, name)))
    for name in sorted(asked.absent):
        yield Chip(f"{name}: none", asked.to(absent=asked.absent - {name}))
    for name, least in asked.least.items():
        yield Chip(f"{name} ≥ {_short(least)}", asked.to(least=_except(asked.least, name)))
    for name, most in asked.most.items():
        yield Chip(f"{name} ≤ {_short(most)}", asked.to(most=_except(asked.most, name)))
