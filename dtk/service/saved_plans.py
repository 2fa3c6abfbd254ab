"""Plans in the shared store by digest: one CI job saves a plan, the next applies it, without an artifact."""

from __future__ import annotations

import re

from dtk.errors import UsageError
from dtk.model.plan import Plan
from dtk.plan.document import from_text, to_text
from dtk.service.global_options import settings
from dtk.service.planning import check_digest
from dtk.service.shared_store import SharedStore, open_store, refuse_offline
from dtk.state.workspace import Workspace

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def save_plan(workspace: Workspace, plan: Plan) -> str:
    """Save a plan in the store and return its digest, ``sha256:…``.

    Raises:
        UsageError: the workspace has no store.
        StoreError: the store is unreachable or refuses the request.
    """
    store = _store(workspace, "--save")
    from dtk.store.layout import saved_plan  # noqa: PLC0415 - only with a store
    from dtk.store.objects import put_once  # noqa: PLC0415

    # An existing plan has the same digest and therefore the same content.
    put_once(store.objects, saved_plan(plan.digest), to_text(plan).encode())
    return plan.digest


def fetch_plan(workspace: Workspace, digest: str) -> Plan:
    """Return the plan saved under a digest.

    Raises:
        UsageError: the text is not a digest, no plan is saved under it, or the workspace has no store.
        InvalidError: the content does not match its digest.
        StoreError: the store is unreachable or refuses the request.
    """
    if not _DIGEST.fullmatch(digest):
        raise UsageError(f"'{digest}' is not a plan's digest", hint="use the digest that dtk plan --save printed")
    store = _store(workspace, "--plan")
    from dtk.store.layout import saved_plan  # noqa: PLC0415 - only with a store
    from dtk.store.objects import get_patiently  # noqa: PLC0415

    found = get_patiently(store.objects, saved_plan(digest))
    if found is None:
        raise UsageError(
            f"no plan {digest} in the store", hint="saved plans expire; save a new one: dtk plan SERVICE --save"
        )
    source = f"plan {digest} in the store"
    plan = from_text(found.data.decode("utf-8", "replace"), source)
    check_digest(plan, source, digest)
    return plan


def stored_plan(workspace: Workspace, service: str) -> Plan | None:
    """Return the newest task's plan that the store has for a service, or None if there is none or with --offline.

    Raises:
        DtkError: the store is unreachable or refuses the request, or the plan can't be read.
    """
    store = None if settings().offline else open_store(workspace)
    if store is None:
        return None
    from dtk.store.layout import ServiceKeys  # noqa: PLC0415 - only with a store
    from dtk.store.mirror import head_now  # noqa: PLC0415
    from dtk.store.objects import get_patiently  # noqa: PLC0415

    head, keys = head_now(store.objects, service), ServiceKeys(service)
    for number in range(head.head.last_task if head else 0, 0, -1):
        found = get_patiently(store.objects, keys.plan(number))
        if found is not None:
            return from_text(found.data.decode("utf-8", "replace"), f"the plan of task {number} in the store")
    return None


def _store(workspace: Workspace, option: str) -> SharedStore:
    refuse_offline(workspace)
    store = open_store(workspace)
    if store is None:
        raise UsageError(f"{option} needs a shared store, and dtk.yaml has none", hint="use a file: --out plan.json")
    return store
