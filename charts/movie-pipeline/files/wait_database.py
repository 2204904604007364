"""Wait until the database takes this pod's role: `SECONDS required` fails afterwards, `SECONDS optional` goes on without it."""

import sys
import time

import psycopg2

seconds, how = float(sys.argv[1]), sys.argv[2]
end, said = time.monotonic() + seconds, ""
while time.monotonic() < end:
    try:
        psycopg2.connect("", connect_timeout=5).close()
        sys.exit(0)
    except psycopg2.OperationalError as error:
        if said != str(error):
            said = str(error)
            print(f"waiting for the database: {said.strip()}", flush=True)
    time.sleep(1)
sys.exit(1 if how == "required" else 0)
