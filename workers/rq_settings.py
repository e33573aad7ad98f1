"""Settings for RQ's own command line: `rq worker -c workers.rq_settings -w workers.rq_worker.Worker repair`.

`RQ_CONFIG=workers.rq_settings RQ_WORKER_CLASS=workers.rq_worker.Worker` in the environment say the same once
(`eval "$(python -m workers env)"`), so that `rq worker repair` is all there is to type.
"""

from __future__ import annotations

import os
import sys

from ingest.settings import Settings
from ingest.store import embedded

REDIS_URL = embedded.url(Settings.read())

_OURS = "workers.rq_worker.Worker"


def _told() -> bool:
    return os.environ.get("RQ_WORKER_CLASS") == _OURS or _OURS in sys.argv


if os.path.basename(sys.argv[0]) == "rq" and {"worker", "worker-pool"} & set(sys.argv[1:3]) and not _told():
    # RQ cannot be told a worker class in this module, and its own would fail every job: it expects pickle.
    sys.exit(f"rq: this project's jobs need its worker class: add -w {_OURS}, or set RQ_WORKER_CLASS={_OURS}")
