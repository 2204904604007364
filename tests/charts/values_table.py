"""Make the table of values from the comments in values.yaml; run as a program it writes it into the docs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
VALUES, DOCUMENT = ROOT / "charts" / "movie-pipeline" / "values.yaml", ROOT / "docs" / "kubernetes.md"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
KEY = re.compile(r"^( *)([A-Za-z_][\w.-]*):( |$)")


class Row(NamedTuple):
    """One value: its path, its default and its comment."""

    path: str
    default: str
    meaning: str


def rows() -> list[Row]:
    """Return a row for each value that has a comment, or that lies below none that has one."""
    lines = VALUES.read_text().splitlines()
    values = yaml.safe_load(VALUES.read_text())
    found = list(_commented(lines))
    documented = {path for path, comment in found if comment}
    made = []
    for path, comment in found:
        inside = any(path[:size] in documented for size in range(1, len(path)))
        parent = any(other[: len(path)] == path for other, _ in found if len(other) > len(path))
        if comment or not (inside or parent):
            made.append(Row(".".join(path), _default(values, path), comment))
    return made


def _commented(lines: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    stack: list[tuple[int, str]] = []
    comment: list[str] = []
    literal = -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal >= 0 and (not line.strip() or indent > literal):
            continue
        literal = -1
        if line.strip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
        elif match := KEY.match(line):
            while stack and stack[-1][0] >= indent:
                stack.pop()
            stack.append((indent, match[2]))
            yield tuple(key for _, key in stack), " ".join(comment)
            comment = []
            if line.rstrip().endswith("|"):
                literal = indent
        else:
            comment = []


def _default(values: object, path: tuple[str, ...]) -> str:
    for key in path:
        assert isinstance(values, dict), path
        values = values[key]
    if isinstance(values, dict) and values and not (path[-1].lower().endswith("resources") or path[-1] == "labels"):
        return ""
    return f"`{json.dumps(values)}`" if not isinstance(values, str) or "\n" not in values else "a text"


def table() -> str:
    """Return the table in Markdown."""
    head = ["| value | default | meaning |", "|---|---|---|"]
    return "\n".join(
        head + [f"| `{row.path}` | {row.default} | {row.meaning.replace('|', chr(92) + '|')} |" for row in rows()]
    )


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}")
