"""Where a command reads objects from: a cluster, manifests, or a saved snapshot; the same for every command."""

import argparse
import contextlib
import datetime as dt
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from scanner.errors import UsageError
from scanner.model.refs import ClusterName
from scanner.model.resources import RESOURCES, Resource
from scanner.model.snapshot import Snapshot

#: Told what is being read, how many objects there are so far, and how far that is (0 to 1).
Progress = Callable[[str, int, float], None]


def register_sources(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a source, and how much of a cluster is read."""
    group = register_source(parser)
    group.add_argument(
        "-n",
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        dest="namespaces",
        help="read these namespaces one by one where the whole cluster may not be listed (repeatable)",
    )
    group.add_argument(
        "--read-secrets",
        action="store_true",
        help="also list Secrets, as metadata only; needs `list secrets`, which RBAC cannot tell from reading them",
    )
    group.add_argument(
        "--read-certificates",
        action="store_true",
        help="also read the TLS Secrets that Ingresses and Gateways name, for their certificates; needs `get` on these "
        "(see `plimsoll secrets tls-rights`)",
    )


def register_source(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the arguments that choose a source; none of them means the current kubeconfig context, or the pod's own."""
    group = parser.add_argument_group("source (default: the current kubeconfig context, or the cluster it runs in)")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--context", metavar="C", help="a context of the kubeconfig")
    one.add_argument(
        "--manifests", nargs="+", metavar="PATH", help="folders, YAML or JSON files (also .gz), - for standard input"
    )
    one.add_argument("--snapshot", metavar="FILE", type=Path, help="a file that `plimsoll snapshot` saved")
    group.add_argument("--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG and ~/.kube/config")
    group.add_argument("--cluster-name", metavar="NAME", help="the name under which findings are kept")
    parser.set_defaults(namespaces=[], read_secrets=False, read_certificates=False)
    return group


def read_snapshot(
    arguments: argparse.Namespace,
    now: dt.datetime,
    progress: Progress | None = None,
    *,
    resources: Sequence[Resource] = RESOURCES,
) -> Snapshot:
    """Read the chosen source; what could not be read is in the snapshot's coverage.

    Of a live cluster just these resources are read; files are read whole anyway.

    Raises `InputError` for a snapshot file that is none, `ClusterError` for an API server that cannot be used at all.
    """
    if arguments.snapshot:
        from scanner.cluster.saved import load_snapshot

        return load_snapshot(arguments.snapshot)
    if arguments.manifests:
        return _manifests(arguments, now, progress)
    return _live(arguments, now, progress, resources)


def _manifests(arguments: argparse.Namespace, now: dt.datetime, progress: Progress | None) -> Snapshot:
    from scanner.cluster.manifests import read_manifests

    for path in arguments.manifests:
        if path != "-" and not Path(path).exists():
            raise UsageError(f"--manifests {path}: no such file or folder")
    return read_manifests(
        arguments.manifests,
        stdin=sys.stdin.buffer,
        cluster=ClusterName(arguments.cluster_name or "manifests"),
        now=now,
        progress=progress,
    )


def _live(
    arguments: argparse.Namespace, now: dt.datetime, progress: Progress | None, resources: Sequence[Resource]
) -> Snapshot:
    from scanner.cluster.collect import collect
    from scanner.cluster.connect import cluster_name, connect

    with contextlib.closing(connect(arguments.kubeconfig or "", arguments.context or "")) as client:
        return collect(
            client,
            cluster=cluster_name(client, arguments.cluster_name or ""),
            now=now,
            resources=resources,
            namespaces=tuple(arguments.namespaces),
            read_secrets=arguments.read_secrets,
            read_certificates=arguments.read_certificates,
            progress=progress,
        )
