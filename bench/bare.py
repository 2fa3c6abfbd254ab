"""The baseline: pyinfra's operations on all hosts concurrently: python bench/bare.py HOSTS.json OPERATIONS.

No log, no state, no pinned host keys, no stages: this is what a task costs without dtk.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from pyinfra.api.config import Config  # noqa: E402
from pyinfra.api.host import Host  # noqa: E402
from pyinfra.api.inventory import Inventory  # noqa: E402
from pyinfra.api.state import State, StateStage  # noqa: E402
from pyinfra.context import ctx_host, ctx_state  # noqa: E402

from bench.work import run_work  # noqa: E402


def main(arguments: list[str]) -> None:
    """Run the work on every host at once."""
    hosts, operations = json.loads(Path(arguments[0]).read_text()), arguments[1]
    state = State(Inventory(([(name, data) for name, data in hosts.items()], {})), Config(PARALLEL=len(hosts)))
    state.set_stage(StateStage.Execute)
    state.is_executing = True
    ctx_state.set(state)

    def one(host: Host) -> None:
        ctx_host.set(host)
        host.connect(raise_exceptions=True)
        run_work(host.data.home, operations)

    gevent.joinall([gevent.spawn(one, state.inventory.get_host(name)) for name in hosts], raise_error=True)


if __name__ == "__main__":
    main(sys.argv[1:])
