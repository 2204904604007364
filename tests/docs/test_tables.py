"""The generated parts of the documents say what the code says."""

import re

import pytest

from movie_pipeline import columns, messages
from movie_pipeline.settings import Settings

from . import tables
from .places import ROOT, documents

PAGES = {
    "docs/configuration.md": {"settings"},
    "docs/commands.md": {"verbs"},
    "docs/data-dictionary.md": {"message", "dictionary", "levels", "findings"},
    "docs/operations.md": {"metrics"},
}


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_parts_are_current(path):
    text = path.read_text(encoding="utf-8")
    assert tables.render(text) == text, "run `make docs`"


@pytest.mark.parametrize(("page", "parts"), PAGES.items())
def test_each_page_holds_its_parts(page, parts):
    found = re.findall(r"<!-- generated: (\S+) -->\n.*?<!-- end -->", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert set(found) == parts


def test_every_generated_part_has_a_page():
    assert set(tables.PARTS) == set().union(*PAGES.values())


def test_a_stale_part_is_written_anew_and_the_rest_stays():
    text = "before\n<!-- generated: levels -->\n\nold\n\n<!-- end -->\nafter\n"
    fresh = tables.render(text)
    assert fresh == f"before\n<!-- generated: levels -->\n\n{tables.level_table()}\n\n<!-- end -->\nafter\n"
    assert tables.render(fresh) == fresh


def test_a_part_that_nobody_knows_is_refused():
    with pytest.raises(KeyError, match="nonsense"):
        tables.render("<!-- generated: nonsense -->\n<!-- end -->\n")


def test_every_setting_has_one_row():
    rows = re.findall(r"^\| `([A-Z_]+)` \|", tables.settings(), re.MULTILINE)
    assert sorted(rows) == sorted(name.upper() for name in Settings.model_fields)


def test_secrets_are_marked_and_have_no_default():
    rows = [line.split(" | ") for line in tables.settings().splitlines() if " | secret | " in line]
    assert {row[0].strip("|` ") for row in rows} == {
        name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
    }
    assert all(not row[2].strip() for row in rows)


def test_every_column_has_a_row_under_its_table():
    sections = re.split(r"^### ", tables.dictionary(), flags=re.MULTILINE)[1:]
    found = {text.partition("\n")[0]: re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) for text in sections}
    assert found == {name: [column.name for column in declared] for name, declared in columns.TABLES.items()}


def test_every_field_of_a_message_has_a_row():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", tables.message(), re.MULTILINE)
    assert [name for name, _ in rows] == list(messages.build({"id": 1}, fetched_at=messages.SAMPLE_FETCHED_AT))
    assert all(meaning.strip() for _, meaning in rows)
