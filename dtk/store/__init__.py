"""The shared store of a team: one head per service changed by compare-and-swap, immutable bodies, event segments.

In: bytes of states, plans and events, and where to keep them. Out: the same for every clone, and one writer at a time.
Must not know: plans, nodes, screens.

Commands reach it through ``dtk.service.shared_store``, which alone knows dtk.yaml's ``store:``:

- ``open_store(workspace) -> SharedStore | None``: ``settings`` and ``objects`` (``Objects``); None without a store.
- ``read_state(workspace, service) -> HeadNow | None``, ``read_logs(workspace, service)`` and
  ``read_all_states(workspace)``: make ``.dtk/services/NAME`` what the store has; ``chosen_service`` does the first for
  every command.
- ``refuse_offline(workspace)``: what changes anything calls it first.
"""
