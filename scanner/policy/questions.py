"""The table of questions: what a policy may `ask:`, and which kinds of objects the answer rests on.

A new question is a function in `scanner.analysis` and one line here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scanner.analysis.pods.debugging import debug_containers
from scanner.model.answer import Answer
from scanner.model.refs import GroupKind
from scanner.model.workload import TEMPLATE_PATHS

#: What `Snapshot.workloads` rests on.
_WORKLOADS = tuple(TEMPLATE_PATHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A pure function over a snapshot, and the kinds that it reads."""

    #: Called as `ask(snapshot, now=now, **arguments)`.
    ask: Callable[..., Iterable[Answer]]
    #: If one of these was not wholly read, a pass is not proven.
    reads: tuple[GroupKind, ...]


#: `<area>.<function>` → question; sorted by name.
QUESTIONS: Mapping[str, Question] = {
    "pods.debug_containers": Question(ask=debug_containers, reads=_WORKLOADS),
}
