"""Taking keys and indexes off tables and putting them back as they were, inside one transaction.

Names and definitions come from the catalog, so this follows the schema without knowing it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Removed(NamedTuple):
    """Statements that put back what was taken off, in their order."""

    statements: tuple[str, ...]


def remove(cursor: Any, tables: Sequence[str]) -> Removed:
    """Drop the foreign keys, primary keys, unique constraints and indexes of tables, and foreign keys to them.

    Checks and NOT NULL stay. The caller holds the tables' locks and its transaction's rollback undoes all.
    """
    cursor.execute(CONSTRAINTS, (list(tables), list(tables)))
    constraints = cursor.fetchall()
    cursor.execute(INDEXES, (list(tables),))
    indexes = cursor.fetchall()
    for table, name, _kind, _definition in constraints:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, _definition in indexes:
        cursor.execute(f"DROP INDEX {name}")
    keys = [_put_back(row) for row in constraints if row[2] != "f"]
    foreign = [_put_back(row) for row in constraints if row[2] == "f"]
    # Foreign keys last: they are proved with the help of the keys that they point at.
    return Removed((*keys, *(definition for _, definition in indexes), *foreign))


def restore(cursor: Any, removed: Removed) -> None:
    """Put everything back; IntegrityError when the rows do not allow it."""
    for statement in removed.statements:
        cursor.execute(statement)


def _put_back(row: tuple[str, str, str, str]) -> str:
    table, name, _kind, definition = row
    return f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"


# Foreign keys come first, since the keys that they need cannot be dropped before them.
CONSTRAINTS = """
SELECT conrelid::regclass::text, quote_ident(conname), contype, pg_get_constraintdef(oid)
FROM pg_constraint
WHERE (conrelid = ANY(%s::regclass[]) AND contype IN ('f', 'p', 'u'))
   OR (confrelid = ANY(%s::regclass[]) AND contype = 'f')
ORDER BY contype <> 'f', conrelid::regclass::text, conname
"""

INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index
WHERE indrelid = ANY(%s::regclass[])
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
ORDER BY 1
"""
