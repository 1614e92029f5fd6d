"""Service accounts that can have the kubelet read any file of the node: they read logs, and their pods write them.

The kubelet opens a container's log under `/var/log/pods` as root and follows links. A pod that writes there, through a
hostPath volume, links a log to any file and reads it with `pods/log`.

Source: https://kubehound.io/reference/attacks/CE_VAR_LOG_SYMLINK/
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.requests import Request, identity_of, user_of
from scanner.analysis.rbac.subjects import (
    evidence_of,
    expectation,
    gives_everything,
    not_failing,
    ref_of,
    unresolved_roles,
)
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.rbac import Subject
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, PodTemplate

#: Where the kubelet looks for logs; who writes one of the folders above them can put these in place too.
_LOGS = (PurePosixPath("/var/log/pods"), PurePosixPath("/var/log/containers"))


def accounts_that_read_node_files(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge the service accounts whose pods write the node's logs: fail if they may read logs of their namespace.

    What they hold by a role that gives everything is another policy's finding.
    """
    for account, mounts in sorted(_writers(snapshot).items(), key=lambda item: (item[0].namespace, item[0].name)):
        request = Request(verb="get", resource="pods", subresource="log", namespace=account.namespace)
        decision = authorizer_of(snapshot).can(identity_of(user_of(account.namespace, account.name)), request)
        chains = [chain for chain in decision.chains if not gives_everything(chain.role)]
        resource = ref_of(snapshot, account)
        if decision.chains and not chains:
            continue
        if not chains:
            doubts = unresolved_roles(snapshot).get(account, ())
            yield not_failing(resource, "writes the node's logs, and cannot read them through the API server", doubts)
            continue
        yield Answer(
            resource=resource,
            outcome=Outcome.FAIL,
            message=f"{account} can get pods/log in namespace {account.namespace}, and its pods write the node's logs",
            evidence=(*evidence_of(chains), *mounts),
            expected=expectation(snapshot, chains),
        )


def _writers(snapshot: Snapshot) -> Mapping[Subject, list[Fact]]:
    """Find the service accounts of pods that write where the kubelet keeps logs, with the mounts."""
    found: defaultdict[Subject, list[Fact]] = defaultdict(list)
    for workload in snapshot.workloads:
        for template in workload.templates:
            account = Subject("ServiceAccount", template.service_account, workload.ref.namespace)
            for container in template.containers:
                found[account] += _mounts(template, container)
    return {account: mounts for account, mounts in found.items() if mounts}


def _mounts(template: PodTemplate, container: Container) -> Iterator[Fact]:
    folders = {
        volume.get("name"): volume["hostPath"].get("path", "")
        for volume in template.spec.get("volumes") or ()
        if volume.get("hostPath")
    }
    for number, mount in enumerate(container.spec.get("volumeMounts") or ()):
        folder = folders.get(mount.get("name"))
        if folder is not None and not mount.get("readOnly") and _holds_logs(folder, mount):
            yield Fact(
                path=f"{container.path}.volumeMounts[{number}]",
                value=dict(mount),
                container=container.name,
                object=container.owner,
                note=f"writes {folder} of the node",
            )


def _holds_logs(folder: str, mount: Mapping[str, Any]) -> bool:
    """Tell whether logs lie in a folder of the node, or it lies among them."""
    path = PurePosixPath("/", folder.lstrip("/"), str(mount.get("subPath") or ""))
    return any(path == logs or path in logs.parents or logs in path.parents for logs in _LOGS)
