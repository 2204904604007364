"""Helm test: the films are in the warehouse, and the programs' role may not drop or create anything."""

import os
import sys
import time

import psycopg2

END = time.monotonic() + float(os.environ["TIMEOUT_SECONDS"])
MINIMUM = int(os.environ["MINIMUM_FILMS"])


def films(connection):
    """Count the films of the warehouse, each once."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT tmdb_id) FROM movie_data_warehouse")
        return cursor.fetchone()[0]


def refused(connection, statement):
    """Whether the database refuses a statement for want of rights."""
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.errors.InsufficientPrivilege:
        return True
    return False


connection = psycopg2.connect("")
while (count := films(connection)) < MINIMUM and time.monotonic() < END:
    time.sleep(2)
print(f"{count} films in the warehouse", flush=True)
if count < MINIMUM:
    sys.exit(f"{count} films in the warehouse, {MINIMUM} expected within {os.environ['TIMEOUT_SECONDS']} s")
allowed = [
    s
    for s in ("DROP TABLE movies", "CREATE TABLE intruder (id int)", "ALTER TABLE movies ADD intruder int")
    if not refused(connection, s)
]
if allowed:
    sys.exit(f"the programs' role may: {', '.join(allowed)}")
