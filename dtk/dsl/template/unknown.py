"""Values that are known after apply, as templates of a plan see them."""

from __future__ import annotations

from typing import Any

from dtk.model.json_data import Json


class NeedsUnknown(Exception):  # noqa: N818 - no error: the template has to wait
    """A template uses a value that only a later step sets; ``name`` is the value's name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' is known after apply")
        self.name = name


class Unknown:
    """A value that is known after apply: a template may name it, but must wait if it uses it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def _wait(self, *_: object, **__: Json) -> Any:
        raise NeedsUnknown(self._name)

    def __getattr__(self, name: str) -> Json:
        # Jinja2 and the copy module look up dunder names to inspect the object; that is not a use by the template.
        if name.startswith("__"):
            raise AttributeError(name)
        raise NeedsUnknown(self._name)

    def __repr__(self) -> str:
        return f"Unknown({self._name!r})"

    __str__ = __bool__ = __iter__ = __len__ = __getitem__ = __call__ = __contains__ = _wait
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _wait
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _wait
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = _wait
    __neg__ = __pos__ = __abs__ = __int__ = __float__ = __index__ = __format__ = __round__ = _wait


def needed(value: Unknown) -> NeedsUnknown:
    """Return the exception for the use of a value."""
    return NeedsUnknown(value._name)
