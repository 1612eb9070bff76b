"""One document: what was found in it, and its text for those who may see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from starlette.testclient import TestClient

from pipelines.columns import row as row_of
from suites.errors import StoreError
from workers.console import document as document_page
from workers.console.agreement import finding_of
from workers.keys import write_key
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.tables import audit, documents, findings, readings, texts

from ...conftest import toy_sample
from ..test_roles import url_of
from .conftest import REVIEWER, bearer, pack_of, read_toys
from .seeded import OTHER, STUDENT, seed
from .test_marks import read

Served = Callable[[Settings], TestClient]


def page(client: TestClient, number: int, params: str = "", *, token: str = REVIEWER) -> str:
    answer = client.get(f"/documents/{number}{params}", headers=bearer(token))
    assert answer.status_code == 200, answer.text[:1000]
    return answer.text


def text_of(html: str) -> list[str]:
    """The marked texts of a page, one a student."""
    return re.findall(r"<div class=\"text\"[^>]*>(.*?)</div>", html, re.S)


def views(settings: Settings) -> list[tuple[str, dict[str, str]]]:
    """What the audit says of views: subject and detail."""
    store = Store(settings.store_url)
    with store.reading() as connection:
        rows = connection.execute(select(audit.c.subject, audit.c.detail).where(audit.c.action == "view").order_by(audit.c.id)).all()
    store.close()
    return [(row.subject, json.loads(row.detail)) for row in rows]


def test_each_finding_marks_its_words(settings: Settings, served: Served, tmp_path: Path) -> None:
    """Of every document that was read: the text is whole, each finding's mark holds its words, the row is the view's, evidence says its exact share."""
    read_toys(settings, tmp_path, 12)
    client, pack = served(settings), pack_of(settings)
    store = Store(settings.store_url)
    with store.reading() as connection:
        stored = connection.execute(select(documents.c.id, documents.c.key, texts.c.text).join(texts)).all()
        assert len(stored) == 12
        for number, key, body in stored:
            html = page(client, number)
            found = [finding_of(row) for row in connection.execute(select(findings).where(findings.c.document_id == number))]
            shown = read(text_of(html)[0])
            assert shown.text == body == toy_sample(int(key[-4:]))["text"]
            places = [f for f in found if not pack.tasks[f.task].is_of_document]
            assert sorted(shown.said.values()) == sorted(body[f.start : f.end] for f in places)
            panel = html[html.index("data-panel") :]
            for name, words in shown.said.items():
                label = unescape(re.sub(r"<[^>]+>", "", re.search(rf'id="row-{name}".*?<th scope="row">(.*?)</th>', panel, re.S)[1]))  # type: ignore[index]
                assert any(f.label == label and body[f.start : f.end] == words for f in places)
            shares = [f"{100 * f.score:.1f} %" for f in found if f.task == "topic_sentences"]
            assert sorted(re.findall(r'class="share">.*?</span>([\d.]+ %)</span>', panel)) == sorted(shares) and shares
            row = row_of(pack, found)
            assert unescape(re.sub(r"<[^>]+>", "", re.search(r"<dt><bdi>topic</bdi></dt><dd>(.*?)</dd>", panel)[1])) == row["topic"]  # type: ignore[index]
    store.close()


def test_analysts_see_no_text(settings: Settings, served: Served, tmp_path: Path) -> None:
    """Neither the text nor a word of it nor the metadata; what was found, and where, they do see; nothing is recorded."""
    read_toys(settings, tmp_path, 6)
    client = served(settings)
    for number in range(1, 7):
        html = page(client, number, token="analyst-token-of-the-tests")
        sample = toy_sample(number - 1)
        assert not text_of(html) and "north" not in html and "The text is shown to reviewers." in html
        sentences = [part.strip() for part in sample["text"].split(".") if len(part) > 12]
        assert not any(sentence in html for sentence in sentences)
        assert "topic_sentences" in html and 'class="lane' in html
        assert "north" in page(client, number)
    assert views(settings) == [(f"document {number}", {"reviewer": "anna"}) for number in range(1, 7)]


def test_a_view_is_recorded_before_the_text_is_read(settings: Settings, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit has the view when the text is opened; where it cannot be recorded the text is not shown, and the page says so."""
    read_toys(settings, tmp_path, 2)
    client = served(settings)
    known: list[int] = []
    opened = document_page.Body

    def body(*given: object) -> object:
        known.append(len(views(settings)))
        return opened(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(document_page, "Body", body)
    page(client, 1)
    page(client, 1, "?from=3")
    assert known == [1, 2]

    def fails(*_: object, **__: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(document_page, "record_alone", fails)
    answer = client.get("/documents/1", headers=bearer(REVIEWER))
    assert (answer.status_code, text_of(answer.text), "could not be recorded" in answer.text, len(known)) == (503, [], True, 2)


def test_a_store_that_cannot_be_written_shows_no_text(on_sqlite: Settings, served: Served, tmp_path: Path) -> None:
    """With the real audit: its table is gone, and so is the view of texts."""
    read_toys(on_sqlite, tmp_path, 1)
    store = Store(on_sqlite.store_url)
    with store.begin() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO away"))
    store.close()
    answer = served(on_sqlite).get("/documents/1", headers=bearer(REVIEWER))
    assert (answer.status_code, text_of(answer.text)) == (503, [])


def test_sealed_texts_are_opened_with_the_master_key(settings: Settings, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reviewer sees what was sealed, and its metadata; without the key, or with another, the page says so and shows nothing."""
    from workers.keys import Keys
    from workers.submit import submit

    write_key(settings.home / "master.key")
    write_key(settings.home / "other.key")
    monkeypatch.setenv("STILLHOUSE_PRIVACY__ENCRYPT", "true")
    monkeypatch.setenv("STILLHOUSE_PRIVACY__KEY_FILE", "master.key")
    sealed = load_settings()
    store = Store(sealed.store_url)
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"id": "a", "text": "The storm was awful.", "meta": {"desk": "north"}}) + "\n", encoding="utf-8")
    submit(store, pack_of(sealed), "toy-1", [file], chunk=10, ring=lambda job: None, keys=Keys.of(sealed))
    with store.begin() as connection:
        connection.execute(insert(readings).values(document_id=1, student_id="toy-1", job_id=1, epoch=1, n_findings=0, read_at=0))
    store.close()
    html = page(served(sealed), 1)
    assert read(text_of(html)[0]).text == "The storm was awful." and "north" in html
    for key, says in (("other.key", "wrapped by master key"), ("", "there is no master key")):
        monkeypatch.setenv("STILLHOUSE_PRIVACY__KEY_FILE", key)
        answer = served(load_settings()).get("/documents/1", headers=bearer(REVIEWER))
        assert (answer.status_code, "storm" in answer.text, says in unescape(answer.text)) == (503, False, True)


def test_two_students_stand_side_by_side(settings: Settings, served: Served) -> None:
    """Each with its marks of its own names; what one found alone says so; a student that did not read it is told."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        (number, *_) = seed(connection, pack_of(settings), ["The storm near the zoo was awful.", "b", "c"])
        alone = findings.c.id == connection.execute(select(findings.c.id).where(findings.c.student_id == OTHER, findings.c.task == "codes")).scalar()
        connection.execute(text("UPDATE findings SET label = 'other' WHERE id = :id"), {"id": connection.execute(select(findings.c.id).where(alone)).scalar()})
    store.close()
    client = served(settings)
    one, two = text_of(page(client, number)), text_of(page(client, number, f"?beside={OTHER}"))
    assert (len(one), len(two)) == (1, 2)
    assert {name[0] for name in read(two[0]).said} == {"a"} and {name[0] for name in read(two[1]).said} == {"b"}
    html = page(client, number, f"?student={OTHER}&beside={STUDENT}")
    assert html.count("only here") == 2 and html.index(f"As {OTHER}") < html.index(f"As {STUDENT}")
    assert client.get(f"/documents/{number}?student=toy-nobody", headers=bearer()).status_code == 404


def test_a_long_text_comes_in_parts(settings: Settings, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is recorded as a view, together they are the text, and marks go on from one to the next."""
    monkeypatch.setattr(document_page, "PART_CHARS", 20)
    store = Store(settings.store_url)
    with store.begin() as connection:
        (number, *_) = seed(connection, pack_of(settings), ["The 👩‍👩‍👧 storm near the zoo was awful.", "b", "c"])
        whole = str(connection.execute(select(texts.c.text).where(texts.c.document_id == number)).scalar())
    store.close()
    client, found, address = served(settings), "", f"/documents/{number}"
    while address:
        html = client.get(address, headers=bearer(REVIEWER)).text
        found += read(text_of(html)[0]).text
        following = re.search(r'rel="next" href="([^"]+)"', html)
        address = unescape(following[1]) if following else ""
    assert found == whole
    assert len(views(settings)) == -(-len(whole) // 20)
    assert client.get(f"/documents/{number}?from=999", headers=bearer(REVIEWER)).status_code == 400


def test_a_document_is_found_by_its_id(settings: Settings, served: Served, tmp_path: Path) -> None:
    """The exact id leads to it, of several texts to the newest; a part lists those that hold it; unknown ones are told."""
    read_toys(settings, tmp_path, 12)
    store = Store(settings.store_url)
    with store.begin() as connection:
        values = {"pack": "toy", "key": "toy-0003", "content_sha256": "e" * 64, "n_chars": 1, "meta": {}, "received_at": 0.0}
        newer = connection.execute(insert(documents).values(**values).returning(documents.c.id)).scalar_one()
    store.close()
    client = served(settings)
    assert client.get("/documents?id=toy-0003", headers=bearer()).headers["location"] == f"/documents/{newer}"
    assert "Texts of this id" in page(client, newer) and "Nobody has read it." in page(client, newer)
    listed = client.get("/documents?id=TOY-001&pack=toy", headers=bearer()).text
    assert listed.count('<th scope="row"><a href="/documents/') == 2
    assert client.get("/documents?pack=toyy", headers=bearer()).status_code == 404
    assert client.get("/documents/999", headers=bearer()).status_code == 404


def test_with_roles_an_analysts_login_reads_and_a_reviewers_shows_texts(
    home: Settings, served: Served, roles_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With [console] query_url every page is read by the analyst's login; the reviewer's is asked for texts and the audit alone."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", roles_url)
    read_toys(load_settings(), tmp_path, 4)
    monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(roles_url, "a_reviewer"))
    monkeypatch.setenv("STILLHOUSE_CONSOLE__QUERY_URL", url_of(roles_url, "a_analyst"))
    settings = load_settings()
    client = served(settings)
    student = next((settings.students_folder / "toy").glob("toy-*")).name
    paths = ["/jobs", "/jobs/1", "/results?pack=toy", "/findings?pack=toy&is.task=topic&is.label=animals", "/documents", "/documents/1", "/charts?pack=toy"]
    for path in [*paths, "/students", f"/documents?pack=toy&id={student}", "/sql", "/tables"]:
        assert client.get(path, headers=bearer()).status_code == 200, path
    assert read(text_of(page(client, 1))[0]).text == toy_sample(0)["text"]
    answer = client.post("/sql", data={"sql": "SELECT current_user AS who, count(*) AS n FROM toy_results"}, headers=bearer()).text
    assert "a_analyst" in answer and '<td class="num">4</td>' in answer
    refused = client.post("/sql", data={"sql": "SELECT meta FROM documents"}, headers=bearer()).text
    assert "permission denied" in refused
    monkeypatch.delenv("STILLHOUSE_CONSOLE__QUERY_URL")
    alone = served(load_settings()).get("/results?pack=toy", headers=bearer())
    assert (alone.status_code, "query_url" in alone.text) == (503, True)
    store = Store(roles_url)
    with store.reading() as connection:
        actors = connection.execute(select(audit.c.actor).where(audit.c.action == "view")).scalars().all()
    store.close()
    assert len(actors) == 1 and "a_reviewer" in actors[0]
