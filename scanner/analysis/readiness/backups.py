"""Whether backups of the cluster's state are made, as far as the cluster itself shows."""

import datetime as dt
import re
from collections.abc import Iterator

import msgspec

from scanner.analysis.readiness.control_plane import managed_service
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot, object_ref_of_cluster
from scanner.model.workload import Workload

SCHEDULE = GroupKind("velero.io", "Schedule")
CRON_JOB = GroupKind("batch", "CronJob")
READS = (SCHEDULE, CRON_JOB)

#: What a job runs that saves etcd, and images made for that alone.
_SAVES = re.compile(r"\b(?:etcdctl|etcdutl)\b.{0,2000}\bsnapshot\s+save\b", re.DOTALL)
_IMAGES = re.compile(r"(?:^|/)(?:etcd-?backup[a-z-]*|etcd-?snapshot[a-z-]*|etcdbrctl|etcd-backup-restore)(?::|@|$)")
#: A longer command is not searched further.
_LONGEST = 20_000


def backups_made(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell of the cluster whether a Velero Schedule or a CronJob that saves etcd is there and not stopped.

    Of a managed service etcd is the provider's to save. Where nothing of the kind is seen it is unknown: backups may be
    made from outside, by a timer of a node or by snapshots of disks.
    """
    del now  # nothing here depends on the time
    cluster = object_ref_of_cluster(snapshot.cluster)
    jobs = [w for w in snapshot.workloads if w.ref.group_kind == CRON_JOB and _saves_etcd(w)]
    found = [*((s, "paused") for s in snapshot.of(*SCHEDULE)), *((w.object, "suspend") for w in jobs if w.object)]
    running = next((thing for thing, field in found if not _is_stopped(thing, field)), None)
    managed = snapshot.derive(managed_service)
    if running is not None:
        yield Answer(resource=cluster, outcome=Outcome.PASS, message=f"{running.ref} makes backups")
    elif found:
        facts = tuple(Fact(path=f"spec.{field}", value=True, object=thing.ref) for thing, field in found)
        message = "Backups are set up, but stopped"
        yield Answer(resource=cluster, outcome=Outcome.FAIL, message=message, evidence=facts)
    elif managed:
        yield Answer(resource=cluster, outcome=Outcome.PASS, message=f"{managed} keeps etcd")
    else:
        missing = tuple(read.missing for read in snapshot.inconclusive(READS))
        message = "Nothing seen here makes backups of etcd; whether something outside does is not known"
        yield Answer(resource=cluster, outcome=Outcome.UNKNOWN, message=message, missing=missing)


def _saves_etcd(workload: Workload) -> bool:
    for container in workload.template.containers:
        words = [str(word) for field in ("command", "args") for word in container.spec.get(field) or ()]
        if _SAVES.search(" ".join(words)[:_LONGEST]) or _IMAGES.search(str(container.spec.get("image") or "")):
            return True
    return False


def _is_stopped(thing: KubeObject, field: str) -> bool:
    spec = msgspec.json.decode(thing.body).get("spec")
    return isinstance(spec, dict) and spec.get(field) is True
