"""The shared store of a team: one mutable head per service, immutable state bodies, and event log segments.

In: states, plans and events as bytes, and the settings of the store. Out: the same content for every clone of the
workspace, and one writer per service at a time (the head is changed by compare-and-swap only).
Must not know: plans, nodes, screens.

Commands use it through ``dtk.service.shared_store``, the only module that knows the ``store:`` section of dtk.yaml:

- ``open_store(workspace) -> SharedStore | None``: ``settings`` and ``objects`` (``Objects``); None without a store.
- ``read_state(workspace, service) -> HeadNow | None``, ``read_logs(workspace, service)`` and
  ``read_all_states(workspace)``: update ``.dtk/services/NAME`` from the store; ``chosen_service`` calls the first one
  for every command.
- ``refuse_offline(workspace)``: every operation that changes something calls it first.
"""
