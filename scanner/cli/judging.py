"""Judges a snapshot by all policies, on two cores where that pays.

A scan of files reads on every core; judging on one alone would take as long again. Policies don't know each other, so a
child of this process judges some of them while this one judges the rest.
"""

import datetime as dt
import os
import pickle
import threading
from collections.abc import Sequence

from scanner.model.finding import Evaluation
from scanner.model.policy import Policy
from scanner.model.snapshot import Snapshot
from scanner.policy.evaluate import evaluate, joined

#: Below this, starting a process and sending its findings takes longer than it saves; measured.
WORTHWHILE_OBJECTS = 5_000
#: Questions of these areas cost about as much as all the rest, and share what they derive; measured on 2,000 workloads.
OTHER_HALF = frozenset({"rbac", "network", "secrets"})


def judge(
    snapshot: Snapshot, policies: Sequence[Policy], *, now: dt.datetime, all_outcomes: bool = False
) -> Evaluation:
    """Return what `evaluate` says, sooner if the snapshot is large."""
    if not _pays(snapshot):
        return evaluate(snapshot, policies, now=now, all_outcomes=all_outcomes)
    return judge_on_two_cores(snapshot, policies, now=now, all_outcomes=all_outcomes)


def judge_on_two_cores(
    snapshot: Snapshot, policies: Sequence[Policy], *, now: dt.datetime, all_outcomes: bool = False
) -> Evaluation:
    """Return what `evaluate` says; this process must have no other thread, for a child has only the one that forks."""
    theirs_to_judge = [policy for policy in policies if policy.area in OTHER_HALF and policy.ask]
    ours_to_judge = [policy for policy in policies if not (policy.area in OTHER_HALF and policy.ask)]
    _ = snapshot.workloads  # both need them: made once, before there are two
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _answer(write_end, evaluate(snapshot, theirs_to_judge, now=now, all_outcomes=all_outcomes))
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        ours = evaluate(snapshot, ours_to_judge, now=now, all_outcomes=all_outcomes)
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:  # it was killed, for want of memory perhaps: what it did not do is done here
        return joined(ours, evaluate(snapshot, theirs_to_judge, now=now, all_outcomes=all_outcomes))
    theirs: Evaluation = pickle.loads(answer)  # noqa: S301 - from our own child
    return joined(ours, theirs)


def _answer(write_end: int, evaluation: Evaluation) -> None:
    """Send the child's part and end the child, without what an ordinary end of the program would do once more."""
    status = 1
    try:
        with os.fdopen(write_end, "wb") as pipe:
            pickle.dump(evaluation, pipe, protocol=pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)


def _pays(snapshot: Snapshot) -> bool:
    is_alone = threading.active_count() == 1
    cores = len(os.sched_getaffinity(0))
    return is_alone and cores > 1 and sum(map(len, snapshot.objects.values())) >= WORTHWHILE_OBJECTS
