"""Genres, companies and people, by COPY into staging tables and statements that write what is not there.

Keys go in sorted order, so that two writers wait for one another instead of ending in a deadlock.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from movie_pipeline.adapters.copying import Rows, copy, encode
from movie_pipeline.adapters.statements import PUT_NEW, PUT_NEWER_NAMES, WITHDRAW
from movie_pipeline.transform.frames import unwrapped
from movie_pipeline.transform.normalize import ENTITIES, LINKS

KNOWN_MOST = 400_000
"""Names that are remembered as stored, so that they need not be sent again."""

Frames = Mapping[str, pd.DataFrame]
"""Entities by table, as `transform.normalize` makes them."""


class Sheet(NamedTuple):
    """Entities of one table, ready for COPY; their names by id."""

    table: str
    rows: Rows
    names: dict[int, str]


class Entities:
    """Writes entities through one connection, and remembers which are stored.

    What it takes for stored by mistake is found by the films' foreign keys: `forget`, and send all again.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[int, str]] = {table: {} for table in ENTITIES}
        self._learned: list[Sheet] = []

    def sheets(self, frames: Frames) -> list[Sheet]:
        """Encode those that are not known to be stored under their names; may run on another thread than the rest."""
        return [sheet for table, frame in frames.items() if (sheet := self._sheet(table, frame)).rows.number]

    def put(self, cursor: Any, sheets: Sequence[Sheet]) -> None:
        """Write what is not stored; all of it counts as known once `committed` is called."""
        for sheet in sheets:
            cursor.execute(f"DELETE FROM stage_{sheet.table}")  # noqa: S608 - our own table names
            copy(cursor, f"stage_{sheet.table}", sheet.rows)
            cursor.execute(PUT_NEW.format(table=sheet.table))
            if cursor.rowcount < sheet.rows.number:
                cursor.execute(PUT_NEWER_NAMES.format(table=sheet.table))
            self._learned.append(sheet)

    def withdraw(self, cursor: Any, sheets: Sequence[Sheet], writer: str) -> None:
        """Delete those that the transaction `writer` has inserted and that no film names."""
        for table, _, names in sheets:
            unnamed = " AND ".join(
                f"NOT EXISTS (SELECT FROM {link.table} WHERE {link.key} = entity.id)"
                for link in LINKS
                if link.entities == table
            )
            cursor.execute(WITHDRAW.format(table=table, unnamed=unnamed), (list(names), writer))
        self.unlearn(sheets)

    def mark(self) -> int:
        """Return a place for `back_to`."""
        return len(self._learned)

    def back_to(self, mark: int) -> None:
        """Take nothing for stored that was put after the mark: it was rolled back."""
        del self._learned[mark:]

    def committed(self) -> None:
        """Remember what was put: its transaction has ended well."""
        self.learn(self._learned)
        self._learned.clear()

    def learn(self, sheets: Sequence[Sheet]) -> None:
        """Take them for stored from now on."""
        for table, _, names in sheets:
            known = self._known[table]
            if len(known) + len(names) > KNOWN_MOST:
                known.clear()
            known.update(names)

    def unlearn(self, sheets: Sequence[Sheet]) -> None:
        """Take them for stored no more."""
        for table, _, names in sheets:
            known = self._known[table]
            for key in names:
                known.pop(key, None)

    def forget(self) -> None:
        """Know nothing any more."""
        self._learned.clear()
        for known in self._known.values():
            known.clear()

    def _sheet(self, table: str, frame: pd.DataFrame) -> Sheet:
        known = self._known[table]
        ids, names = unwrapped(frame["id"]).to_pylist(), unwrapped(frame["name"]).to_pylist()
        if known:
            missing = [stored != name for stored, name in zip(map(known.get, ids), names, strict=True)]
            frame = frame[np.array(missing, bool)]
            ids, names = unwrapped(frame["id"]).to_pylist(), unwrapped(frame["name"]).to_pylist()
        return Sheet(table, encode(frame), dict(zip(ids, names, strict=True)))
