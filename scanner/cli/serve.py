"""`plimsoll serve`: the service."""

import argparse
import os
import sys
from pathlib import Path

from scanner.cli.status import ExitStatus

#: Where Kubernetes puts a pod's token; with it the service reads the cluster that it runs in.
IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the one argument; everything else is a setting, see docs/reference/configuration.md."""
    parser.add_argument(
        "--or-example",
        action="store_true",
        help="without a kubeconfig, and outside of a cluster, serve the bundled example cluster",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from scanner.app import serve
    from scanner.settings import load_settings

    settings = load_settings()
    if arguments.or_example and not settings.manifests and not _has_cluster(settings.kubeconfig):
        example = example_cluster()
        print(f"plimsoll: no kubeconfig found; serving the example cluster of {example}", file=sys.stderr)
        settings = settings.model_copy(update={"manifests": (str(example),), "cluster": "example"})
    serve(settings)
    return ExitStatus.DONE


def _has_cluster(kubeconfig: str | None) -> bool:
    """Tell whether there is a kubeconfig, or this runs in a pod."""
    named = kubeconfig or os.environ.get("KUBECONFIG")
    files = named.split(os.pathsep) if named else [str(Path.home() / ".kube" / "config")]
    return IN_CLUSTER_TOKEN.is_file() or any(Path(file).is_file() for file in files)


def example_cluster() -> Path:
    """Return the folder of the bundled example cluster, in a checkout or in an installed wheel."""
    package = Path(__file__).parents[1]
    checkout, wheel = package.parent / "examples" / "company", package / "_data" / "examples" / "company"
    return checkout if checkout.is_dir() else wheel
