"""The review in the console: what is shown, what is stored, and who may."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from threading import Lock
from typing import Any

import pytest
from sqlalchemy import Row, delete, select
from starlette.testclient import TestClient

from suites.errors import StoreError
from suites.types import Finding
from workers.audit import acts, verify_chain
from workers.console import desk as desks
from workers.console import review as review_page
from workers.reviews import sitting as sittings
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.tables import findings, reviews, texts

from ..reviewed import READ_AT, STUDENT, fill, thing, topic
from ..test_roles import url_of
from .conftest import ANALYST, REVIEWER, REVIEWERS, bearer
from .test_document import text_of, views
from .test_marks import read

Served = Callable[[Settings], TestClient]
CANARY = "Zanzibarquux"
# where the database makes no difference
on_sqlite_alone = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def body(number: int) -> str:
    return f"Document {number} speaks of a {CANARY} and a \u202egrey\u202c 🐈 cat.".ljust(100, ".")


PLACE = body(1).index("grey"), body(1).index(" cat") + 4
SPAN = thing("A", *PLACE, 0.8)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Three documents that wait for reviewers: an answer each, and a span in the first."""
    opened = Store(settings.store_url)
    fill(opened, [[topic("weather", 0.5), SPAN], [topic("animals", 0.6)], [topic("weather", 0.7)]], [body(n) for n in (1, 2, 3)])
    yield opened
    opened.close()


@pytest.fixture
def client(settings: Settings, store: Store, served: Served, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The console, without checks by chance, so that it is known what comes."""
    monkeypatch.setattr(review_page, "CHECK_SURE", 0.0)
    return served(settings)


def shown(client: TestClient, who: str = "anna", params: str = "") -> str:
    answer = client.get(f"/review/next?pack=toy{params}", headers=bearer(REVIEWERS[who]))
    assert answer.status_code == 200, answer.text[-1500:]
    return answer.text


def field_in(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None, html[-2000:]
    return unescape(found[1])


def key_in(html: str) -> str:
    return field_in(html, "key")


def say(client: TestClient, who: str = "anna", *, mode: str = "", key: str | None = None, **given: Any) -> str:
    """Sends a form about what is shown, or about `key`; gives the page that follows."""
    params = f"&mode={mode}" if mode else ""
    html = shown(client, who, params)
    named = {"last": field_in(html, "last")} if given.get("do") == "undo" else {"key": key or key_in(html)}
    sent = {"pack": "toy", "mode": mode} | named | given
    answer = client.post("/review/next", data=sent, headers=bearer(REVIEWERS[who]))
    assert answer.status_code == 303, answer.text[-1500:]
    assert answer.headers["location"].startswith("/review/next?pack=toy") and answer.headers["location"].endswith("#now")
    return shown(client, who, params)


def said(html: str) -> str:
    found = re.search(r'id="said" role="status">(.*?)</p>', html)
    return re.sub("<[^>]+>", "", unescape(found[1])) if found else ""


def decided(store: Store) -> list[tuple[Any, ...]]:
    with store.reading() as connection:
        rows: list[Row[Any]] = list(connection.execute(select(reviews).order_by(reviews.c.reviewed_at, reviews.c.id)).all())
    return [(row.document_id, row.task, row.label, row.verdict, row.new_label, row.new_start, row.new_end) for row in rows]


def acted(store: Store, action: str) -> list[str]:
    with store.reading() as connection:
        assert verify_chain(connection) is None
        return [str(act["subject"]) for act in reversed(acts(connection, action=action, limit=100))]


def test_a_finding_is_shown_in_its_text_and_decided(client: TestClient, store: Store, settings: Settings) -> None:
    """The dearest first, in a text that is whole; each verdict is stored as a terminal would; undo brings the finding back; what is skipped stays away."""
    html = shown(client)
    assert read(text_of(html)[0]).text == body(1) and json.loads(key_in(html))[2:4] == ["topic", "weather"]
    assert "Is the notice about animals or weather?" in html and "in doubt" in html and "0.50" in html
    html = say(client, label="animals")
    assert decided(store) == [(1, "topic", "weather", "correct", "animals", None, None)]
    assert said(html) == "Corrected, topic weather of document 1." and said(shown(client)) == "" and "1 decided in this sitting" in html
    assert json.loads(key_in(html))[0] == 2
    html = say(client, do="undo")
    assert decided(store) == [] and said(html) == "Taken back: corrected, topic weather of document 1." and json.loads(key_in(html))[0] == 1
    assert said(say(client, do="undo")) == "Nothing of this sitting is there to be taken back."
    say(client, do="reject")
    html = say(client, do="skip")
    assert "1 passed over" in html and json.loads(key_in(html))[0] == 3
    html = say(client, do="accept")
    assert json.loads(key_in(html))[2:6] == ["things", "A", *PLACE] and read(text_of(html)[0]).said["now"] == body(1)[slice(*PLACE)]
    html = say(client, do="accept")
    assert "Nothing more waits here." in html
    assert decided(store) == [
        (1, "topic", "weather", "reject", None, None, None),
        (3, "topic", "weather", "accept", None, None, None),
        (1, "things", "A", "accept", None, None, None),
    ]
    assert json.loads(key_in(shown(client, "anna", "&task=topic")))[0] == 2, "what was passed over waits in another sitting"


def test_each_text_that_is_shown_is_in_the_audit(client: TestClient, store: Store, settings: Settings) -> None:
    """A view for each page that holds a text, one row for the sitting, none for a decision."""
    say(client, do="accept")
    assert acted(store, "view") == ["document 1", "document 2"] and acted(store, "review") == ["pack toy"]
    assert views(settings)[0][1] == {"pack": "toy", "reviewer": "anna", "for": "review"}
    shown(client, "anna", "&task=things")
    assert acted(store, "view") == ["document 1", "document 2", "document 1"] and acted(store, "review") == ["pack toy"] * 2


@on_sqlite_alone
def test_analysts_see_how_far_it_is_and_no_text(client: TestClient, store: Store) -> None:
    """The overview lists what waits; texts and decisions are refused."""
    html = client.get("/review?pack=toy", headers=bearer()).text
    assert CANARY not in html and html.count('<a href="/documents/') == 4 and 'data-press="n"' not in html
    answer = client.get("/review/next?pack=toy", headers=bearer())
    assert (answer.status_code, answer.headers["location"]) == (303, "/review?pack=toy")
    answer = client.post("/review/next", data={"pack": "toy", "do": "accept", "key": key_in(shown(client))}, headers=bearer(ANALYST))
    assert answer.status_code == 403 and "--reviewer NAME" in answer.text
    assert decided(store) == []


def test_ranges_are_corrected_and_missed_ones_added(client: TestClient, store: Store) -> None:
    """Another range, another label, both; a span, a tag, an answer about a span that was missed; what is shown stays meanwhile."""
    say(client, do="skip")
    say(client, do="skip")
    html = say(client, do="skip")
    key = key_in(html)
    start, end = PLACE
    html = say(client, do="move", start=start + 5, end=end, **{"as": "things/A"})
    assert decided(store)[-1] == (1, "things", "A", "correct", None, start + 5, end)
    say(client, do="undo")
    for wrong, words in (
        ({"start": start, "end": end, "as": "things/A"}, "A correction says another label or range"),
        ({"start": start, "end": start, "as": "things/A"}, f"Range {start}..{start} is empty"),
        ({"start": start, "end": 101, "as": "things/A"}, "outside the document of 100 characters"),
        ({"start": "x", "end": 9, "as": "things/A"}, "start: expected a whole number"),
        ({"start": 0, "end": 9, "as": "flags/draft"}, "cannot become one of flags"),
        ({"start": 0, "end": 9, "as": "things/Z"}, "no label 'Z'"),
    ):
        html = say(client, do="move", **wrong)
        assert words.lower() in said(html).lower() and key_in(html) == key, (wrong, said(html))
    assert decided(store) == []
    html = say(client, do="add", start=0, end=8, **{"as": "things/B"})
    assert key_in(html) == key, "what is shown stays until it is decided itself"
    say(client, do="add", start=3, end=4, n_chars=100, **{"as": "flags/urgent"})
    say(client, do="add", start=0, end=8, **{"as": "state/absent"})
    assert [(row[1:4], row[4:]) for row in decided(store)] == [
        (("things", "B", "add"), (None,) * 3),
        (("flags", "urgent", "add"), (None,) * 3),
        (("state", "absent", "add"), (None,) * 3),
    ]
    assert "answers things at" in said(say(client, do="add", start=start, end=end, **{"as": "things/A"}))
    say(client, do="undo")
    assert [row[1] for row in decided(store)] == ["things", "flags"]
    say(client, do="move", start=start + 5, end=end, **{"as": "things/B"})
    assert decided(store)[-1] == (1, "things", "A", "correct", "B", start + 5, end)
    with store.reading() as connection:
        added = connection.execute(select(reviews.c.start, reviews.c.end).where(reviews.c.task == "flags")).one()
    assert tuple(added) == (0, 100)


def test_two_reviewers_and_a_third(client: TestClient, store: Store) -> None:
    """A second reads what the first judged without being told what they said; the overview has kappa; what they see otherwise waits for a third."""
    for verdict in ("accept", "accept", "reject"):
        say(client, "anna", do=verdict)
    html = shown(client, "bela", "&mode=second")
    assert "second reading" in html and "anna" not in html
    for _ in range(3):
        say(client, "bela", mode="second", do="accept")
    overview = client.get("/review?pack=toy", headers=bearer(REVIEWERS["carl"])).text
    assert "kappa" in overview and "anna, bela" in re.sub("<[^>]+>", "", overview) and "Disputed (1)" in overview
    assert json.loads(key_in(shown(client, "carl", "&mode=disputed")))[0] == 3
    say(client, "carl", mode="disputed", do="accept")
    assert "Disputed (0)" in client.get("/review?pack=toy", headers=bearer(REVIEWERS["carl"])).text


def test_what_went_meanwhile_is_passed_over(client: TestClient, store: Store) -> None:
    """A text that was erased while it waited is told and passed over; so is a finding that is gone when it is decided."""
    key = key_in(shown(client))
    with store.begin() as connection:
        connection.execute(delete(findings).where(findings.c.document_id == 1, findings.c.task == "topic"))
        connection.execute(delete(texts).where(texts.c.document_id == 2))
    html = say(client, do="accept", key=key)
    assert "is no finding of" in said(html) and "doc-2 is passed over: it was erased." in said(html) and json.loads(key_in(html))[0] == 3
    assert decided(store) == []


@on_sqlite_alone
def test_texts_that_do_not_open_do_not_hold_up_forever(client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many in a row the page says so, and the next one goes on."""
    monkeypatch.setattr(review_page, "PASSED", 2)
    with store.begin() as connection:
        connection.execute(delete(texts).where(texts.c.document_id <= 2))
    answer = client.get("/review/next?pack=toy", headers=bearer(REVIEWER))
    assert answer.status_code == 503 and "2 findings in a row" in answer.text
    assert json.loads(key_in(shown(client)))[0] == 3


@on_sqlite_alone
def test_a_view_that_cannot_be_recorded_shows_no_text(client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text comes with its row in the audit, or not at all."""

    def full(*args: object) -> None:
        raise StoreError("The disk is full.", "store_13")

    monkeypatch.setattr(sittings, "record", full)
    answer = client.get("/review/next?pack=toy", headers=bearer(REVIEWER))
    assert (answer.status_code, CANARY in answer.text) == (503, False)


@on_sqlite_alone
def test_a_long_text_is_shown_around_the_finding(client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part that is shown says where it begins, and holds the finding; of an answer about the document it is the beginning."""
    monkeypatch.setattr(review_page, "PART_CHARS", 40)
    monkeypatch.setattr(review_page, "BEFORE", 10)
    html = shown(client)
    assert read(text_of(html)[0]).text == body(1)[:40] and 'data-begin="0"' in html and "characters 0 to 40 of 100" in html
    html = shown(client, "anna", "&task=things")
    begin = PLACE[0] - 10
    assert read(text_of(html)[0]).text == body(1)[begin : begin + 40] and f'data-begin="{begin}"' in html
    assert read(text_of(html)[0]).said["now"] == body(1)[slice(*PLACE)]


def test_what_bears_an_answer_is_shaded_and_others_of_its_task_are_marked(client: TestClient, store: Store) -> None:
    """Of an answer about the document the sentences of evidence, of a span the student's other ones."""
    with store.begin() as connection:
        for found in (Finding("topic_sentences", "weather", 0.9, 0, 30), thing("B", 2, 9, 0.9, unsure=False)):
            values = {name: getattr(found, name) for name in ("task", "label", "score", "start", "end", "source", "unsure")}
            connection.execute(findings.insert().values(document_id=1, student_id=STUDENT, read_at=READ_AT, **values))
    html = text_of(shown(client))[0]
    assert 'class="t2 evidence s18' in html and read(html).said == {"o0": body(1)[:30]}
    assert read(text_of(shown(client, "anna", "&task=things"))[0]).said == {"o0": body(1)[2:9], "now": body(1)[slice(*PLACE)]}


@on_sqlite_alone
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "names no finding"),
        ({"do": "accept", "key": "[1]"}, "names no finding"),
        ({"do": "accept", "key": '[true, "a", "b", "c", 1, 2, 0, 0]'}, "names no finding"),
        ({"do": "accept", "key": f'[{10**30}, "a", "b", "c", 1, 2, 0, 0]'}, "names no finding"),
        ({"do": "accept", "key": "not json"}, "names no finding"),
        ({"do": "accept", "key": "[" * 50_000}, "names no finding"),
        ({"do": "accept", "key": r'[1, "\u0000", "topic", "weather", 0, 100, 0, 0]'}, "names no finding"),
        ({"do": "accept", "key": r'[1, "\ud800", "topic", "weather", 0, 100, 0, 0]'}, "names no finding"),
        ({"do": "accept", "key": f'[1, "{STUDENT}", "topic", "weather", 0, {10**17}, 0, 0]'}, "names no finding"),
        ({"do": "accept", "key": f'[0, "{STUDENT}", "topic", "weather", 0, 100, 0, 0]'}, "names no finding"),
        ({"mode": "thrid"}, "no mode 'thrid'"),
        ({"task": "topik"}, "Did you mean"),
        ({"pack": "toi"}, "Did you mean"),
    ],
)
def test_forms_that_no_page_sends_are_refused(client: TestClient, store: Store, given: dict[str, str], words: str) -> None:
    """They say what was expected, and store nothing."""
    answer = client.post("/review/next", data={"pack": "toy"} | given, headers=bearer(REVIEWER))
    assert answer.status_code in (400, 404) and words.lower() in unescape(answer.text).lower(), answer.text[-600:]
    assert decided(store) == []


@on_sqlite_alone
def test_an_unknown_decision_is_told(client: TestClient, store: Store) -> None:
    """The finding stays."""
    html = say(client, do="maybe")
    assert "No decision 'maybe'" in said(html) and decided(store) == []


def test_without_a_reader_the_page_says_what_to_run(on_sqlite: Settings, served: Served) -> None:
    """No student has read yet."""
    client = served(on_sqlite)
    answer = client.get("/review?pack=toy", headers=bearer())
    assert answer.status_code == 200 and "manage.py submit toy PATH" in answer.text
    assert client.get("/review/next?pack=toy", headers=bearer(REVIEWER)).status_code == 409


def test_with_roles_a_reviewers_login_decides(home: Settings, served: Served, roles_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reviewer's login reads and decides, the analyst's shows how far it is; an analyst's login cannot open a text for anybody."""
    store = Store(roles_url)
    fill(store, [[topic("weather", 0.5)]], [body(1)])
    monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(roles_url, "a_reviewer"))
    monkeypatch.setenv("STILLHOUSE_CONSOLE__QUERY_URL", url_of(roles_url, "a_analyst"))
    client = served(load_settings())
    assert client.get("/review?pack=toy", headers=bearer()).status_code == 200
    say(client, do="accept")
    assert decided(store) == [(1, "topic", "weather", "accept", None, None, None)]
    assert acted(store, "review") == ["pack toy"] and acted(store, "view") == ["document 1"]
    say(client, do="undo")
    assert decided(store) == []
    monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(roles_url, "a_analyst"))
    answer = served(load_settings()).get("/review/next?pack=toy", headers=bearer(REVIEWER))
    assert (answer.status_code, "role reviewer" in answer.text or "right" in answer.text, CANARY in answer.text) == (503, True, False)
    store.close()


@on_sqlite_alone
def test_a_form_that_is_sent_twice_is_one_decision(client: TestClient, store: Store) -> None:
    """The second time replaces the first, and one undo takes it back: the finding comes again."""
    key = key_in(shown(client))
    say(client, do="accept", key=key)
    html = say(client, do="reject", key=key)
    assert [row[3] for row in decided(store)] == ["reject"] and "1 decided in this sitting" in html
    html = say(client, do="undo")
    assert decided(store) == [] and key_in(html) == key and "0 decided" in html


@on_sqlite_alone
def test_undo_takes_back_what_the_page_names(client: TestClient, store: Store) -> None:
    """A page that is not the newest, or a second click, takes back nothing else."""
    say(client, do="accept")
    old = shown(client)
    say(client, do="reject")
    for page, left in ((old, 2), (None, 1), (None, 0)):
        last = field_in(page or shown(client), "last")
        client.post("/review/next", data={"pack": "toy", "do": "undo", "last": last}, headers=bearer(REVIEWER))
        assert len(decided(store)) == left
    say(client, do="accept")
    html = shown(client)
    for words in ("Taken back", "Nothing was taken back"):
        client.post("/review/next", data={"pack": "toy", "do": "undo", "last": field_in(html, "last")}, headers=bearer(REVIEWER))
        assert said(shown(client)).startswith(words)


@on_sqlite_alone
def test_an_undo_that_fails_can_be_tried_again(client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision stays the last one."""

    def away(*args: object) -> None:
        raise StoreError("The database is away.", "store_14")

    say(client, do="accept")
    say(client, do="reject")
    last = field_in(shown(client), "last")
    with monkeypatch.context() as patch:
        patch.setattr(sittings, "undo", away)
        answer = client.post("/review/next", data={"pack": "toy", "do": "undo", "last": last}, headers=bearer(REVIEWER))
        assert answer.status_code == 503 and len(decided(store)) == 2
    say(client, do="undo")
    assert [row[3] for row in decided(store)] == ["accept"]


def test_what_was_decided_elsewhere_is_neither_shown_nor_lost(client: TestClient, store: Store) -> None:
    """Of another list, or at a terminal: it does not come again; decided anew from an old page, undo brings the former decision back."""
    key = key_in(shown(client))
    answer = client.post("/review/next", data={"pack": "toy", "task": "topic", "key": key, "label": "animals"}, headers=bearer(REVIEWER))
    assert answer.status_code == 303
    html = shown(client)
    assert json.loads(key_in(html))[0] == 2, "what waited in this list was decided in the other"
    say(client, do="accept", key=key)
    assert [row[3:5] for row in decided(store)] == [("accept", None)]
    say(client, do="undo")
    assert [row[3:5] for row in decided(store)] == [("correct", "animals")]
    assert json.loads(key_in(shown(client)))[0] == 2


def test_a_new_sitting_brings_what_was_passed_over(client: TestClient, store: Store) -> None:
    """The page before begins one; it is in the audit."""
    key = key_in(shown(client))
    assert "1 passed over" in say(client, do="skip") and key_in(shown(client)) != key
    answer = client.get("/review/begin?pack=toy&mode=&task=", headers=bearer(REVIEWER))
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/next?pack=toy#now")
    assert key_in(shown(client)) == key and acted(store, "review") == ["pack toy"] * 2
    assert client.get("/review/begin?pack=toy", headers=bearer()).headers["location"] == "/review?pack=toy"


def test_a_page_waits_only_so_long_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it says so; a place that is free is taken, and given back."""
    monkeypatch.setattr(desks, "PAGE_S", 0.05)
    place = Lock()
    with place, pytest.raises(StoreError, match="Try again"), desks.held(place):
        raise AssertionError
    with desks.held(place):
        assert place.locked()
    assert not place.locked()
