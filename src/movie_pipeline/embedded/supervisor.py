"""Run one server for as long as the program that asked for it lives.

Started as a script by `process.py` with one JSON argument; it imports nothing but the standard library.
Standard input is the lifeline: it closes when the program ends, however it ends, SIGKILL included. The parent's process
id is watched as well, because a forked worker of the program may hold a copy of the lifeline for longer.
Then the server is asked to stop, and killed when it does not in time. Standard output carries the server's
process id and nothing else; standard error is the server's log.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

_POLL_SECONDS = 0.1


def main() -> int:
    """Start the server, wait for its end or the parent's, and return 0 when the server ended well, else 1."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    wishes_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: wishes_to_stop.append(received))
    try:
        server = _start(order)
    except OSError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    # The reader waits for the end of this pipe, which the descriptor itself must reach.
    os.close(sys.stdout.fileno())
    while server.poll() is None and not wishes_to_stop and _parent_lives(order["parent"]):
        pass
    _stop(server, order)
    return int(server.returncode != 0)


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    identity = {} if order["user"] is None else {"user": order["user"], "group": order["group"], "extra_groups": []}
    return subprocess.Popen(
        order["command"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        cwd=order["cwd"],
        env=order["environment"],
        pass_fds=order["keep_open"],
        # Ctrl-C on the terminal reaches the whole foreground group; a server must be stopped in order, not by that.
        start_new_session=True,
        **identity,
    )


def _parent_lives(parent: int) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], _POLL_SECONDS)
    return not readable and os.getppid() == parent


def _stop(server: subprocess.Popen[bytes], order: dict[str, Any]) -> None:
    began = time.monotonic()
    if server.poll() is None:
        server.send_signal(order["stop_signal"])
    while server.poll() is None:
        # What a server does at its end beyond closing its files serves nobody when the parent is dead.
        grace = order["stop_seconds"] if os.getppid() == order["parent"] else order["orphan_seconds"]
        if time.monotonic() > began + grace:
            break
        time.sleep(_POLL_SECONDS / 2)
    # Group members that a dead server left behind end here too; without any the group is gone already.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


if __name__ == "__main__":
    sys.exit(main())
