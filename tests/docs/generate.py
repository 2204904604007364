"""Write the generated parts of all documents: `python -m tests.docs.generate`, which `make docs` runs."""

import sys

from .places import ROOT, documents
from .tables import render


def main() -> None:
    """Rewrite each document whose generated parts are out of date, and name it."""
    for path in documents():
        before = path.read_text(encoding="utf-8")
        after = render(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
