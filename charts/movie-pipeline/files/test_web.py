"""Helm test: the web server answers, with the report once there is one, and the consumer is ready."""

import os
import sys
import time
import urllib.error
import urllib.request

WANTED = {"front page": (os.environ["WEB_URL"], "<"), "consumer": (os.environ["CONSUMER_URL"], "")}
END = time.monotonic() + float(os.environ["TIMEOUT_SECONDS"])


def answers(address, text):
    """Whether an address answers 200 with a text in its body."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return text in answer.read().decode(errors="replace")
    except (urllib.error.URLError, OSError) as error:
        print(f"{address}: {error}", flush=True)
        return False


missing = dict(WANTED)
while missing and time.monotonic() < END:
    missing = {name: wanted for name, wanted in missing.items() if wanted[0] and not answers(*wanted)}
    if missing:
        time.sleep(2)
sys.exit(f"no answer from {', '.join(missing)}" if missing else 0)
