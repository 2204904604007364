"""Links inside the repository lead somewhere."""

import pytest

from .places import ROOT, anchors, documents, links

OUTSIDE = ("https://", "http://", "mailto:")


def inside():
    for path in documents():
        for target in links(path.read_text(encoding="utf-8")):
            if not target.startswith(OUTSIDE):
                yield pytest.param(path, target, id=f"{path.relative_to(ROOT)}: {target}")


@pytest.mark.parametrize(("path", "target"), list(inside()))
def test_link_leads_to_a_file_and_a_heading(path, target):
    place, _, anchor = target.partition("#")
    found = (path.parent / place).resolve() if place else path
    assert found.is_relative_to(ROOT)
    assert found.exists()
    if anchor:
        assert anchor in anchors(found.read_text(encoding="utf-8"))


def test_the_index_names_every_document():
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / target.partition("#")[0]).resolve() for target in links(index.read_text(encoding="utf-8"))}
    assert set((ROOT / "docs").rglob("*.md")) - {index} <= named


def test_anchors_are_github_s():
    text = "# One: `two` & three\n\n## Again\n\n## Again\n\n```sh\n# no heading\n```\n"
    assert anchors(text) == {"one-two--three", "again", "again-1"}
