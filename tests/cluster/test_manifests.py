"""Files to a snapshot: what is read, where it came from, and what is said of the rest."""

import datetime as dt
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.cluster import manifests
from scanner.cluster.manifests import read_manifests
from scanner.cluster.reading_pool import MAX_WORKERS
from scanner.errors import InputError
from scanner.model.coverage import ReadState
from scanner.model.refs import ClusterName
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
CANARY = "hunter2-canary"

Write = Callable[[str, str | bytes], Path]


def pod(name: str, namespace: str = "") -> str:
    """Make the manifest of a pod."""
    where = f"  namespace: {namespace}\n" if namespace else ""
    return f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n{where}spec:\n  containers: []\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file into the folder that is read."""

    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def read(*paths: Path | str, stdin: bytes | None = None) -> Snapshot:
    """Read manifests."""
    stream = None if stdin is None else io.BytesIO(stdin)
    return read_manifests(paths, stdin=stream, cluster=ClusterName("files"), now=NOW)


def names(snapshot: Snapshot) -> list[str]:
    """Return what was read, by name."""
    return sorted(str(o.ref) for objects in snapshot.objects.values() for o in objects)


def origins(snapshot: Snapshot, folder: Path) -> list[str]:
    """Return where it was read, without the folder."""
    found = (o.origin for objects in snapshot.objects.values() for o in objects)
    return sorted(origin.removeprefix(f"{folder}/") for origin in found)


def reasons(snapshot: Snapshot, state: ReadState, folder: Path) -> list[str]:
    """Return what coverage says of files, without the folder."""
    notes = (r for r in snapshot.coverage if r.resource == manifests.MANIFESTS and r.state is state)
    return [r.reason.replace(f"{folder}/", "") for r in notes]


def partial_kinds(snapshot: Snapshot) -> set[str]:
    """Return the kinds of which something may be missing."""
    partial = (r for r in snapshot.coverage if r.state is ReadState.PARTIAL)
    return {r.resource for r in partial} - {manifests.MANIFESTS}


def test_folders_are_read_with_all_folders_in_them(write: Write, tmp_path: Path) -> None:
    """YAML and JSON, packed or not; nothing hidden, nothing else."""
    write("a.yaml", pod("a"))
    write("deep/er/b.yml.gz", gzip.compress(pod("b").encode()))
    write("c.json", '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c"}}')
    write(".git/d.yaml", pod("d"))
    write(".e.yaml", pod("e"))
    write("f.txt", pod("f"))
    assert names(read(tmp_path)) == ["Pod default/a", "Pod default/b", "Pod default/c"]


def test_a_snapshot_of_files_says_so(write: Write, tmp_path: Path) -> None:
    """With the time that it was given."""
    write("a.yaml", pod("a"))
    found = read(tmp_path)
    assert (found.source, found.cluster, found.taken_at) == (SourceKind.MANIFESTS, "files", NOW)


def test_every_kind_was_read_if_nothing_was_refused(write: Write, tmp_path: Path) -> None:
    """Counted."""
    write("a.yaml", pod("a"))
    complete = {r.resource: r.count for r in read(tmp_path).coverage if r.state is ReadState.COMPLETE}
    assert complete == {r.name: 0 for r in RESOURCES} | {"TLS Secrets": 0, "ConfigMap": 0, "pods": 1}


def test_objects_say_where_they_were_read(write: Write, tmp_path: Path) -> None:
    """File and line."""
    write("a.yaml", f"---\n# Source: x\n{pod('a')}---\n{pod('b')}")
    assert origins(read(tmp_path), tmp_path) == ["a.yaml:10", "a.yaml:3"]


def test_standard_input_is_read() -> None:
    """As helm renders it."""
    rendered = f"---\n# Source: a.yaml\n---\n# Source: b.yaml\n{pod('b')}---\n"
    assert names(read("-", stdin=rendered.encode())) == ["Pod default/b"]


def test_a_pipe_is_read() -> None:
    """What a shell gives for `<(helm template …)`."""
    reading, writing = os.pipe()
    os.write(writing, pod("a").encode())
    os.close(writing)
    try:
        assert names(read(f"/dev/fd/{reading}")) == ["Pod default/a"]
    finally:
        os.close(reading)


@pytest.mark.parametrize("form", ["yaml", "flow", "json", "lines", "typed"])
def test_lists_are_the_objects_that_they_list(write: Write, tmp_path: Path, form: str) -> None:
    """Of all forms in which they come."""
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}} for name in ("a", "b")]
    whole = {"apiVersion": "v1", "items": pods, "kind": "List"}
    bare = [{"metadata": p["metadata"]} for p in pods]
    item = "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: {}\n"
    texts = {
        "yaml": f"apiVersion: v1\nitems:\n{item.format('a')}{item.format('b')}kind: List\nmetadata: {{}}\n",
        "flow": f"# not JSON\n{json.dumps(whole)}",
        "json": json.dumps(whole, indent=1),
        "lines": "\n".join(map(json.dumps, pods)),
        "typed": json.dumps({"apiVersion": "v1", "kind": "PodList", "items": bare}),
    }
    write("list.yaml", texts[form])
    assert names(read(tmp_path)) == ["Pod default/a", "Pod default/b"]


def test_items_of_a_list_say_their_own_line(write: Write, tmp_path: Path) -> None:
    """Not that of their list."""
    item = "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: {}\n"
    write("a.yaml", f"apiVersion: v1\nitems:\n{item.format('a')}{item.format('b')}kind: List\n")
    assert origins(read(tmp_path), tmp_path) == ["a.yaml:3", "a.yaml:7"]


def test_a_broken_item_costs_itself_alone(write: Write, tmp_path: Path) -> None:
    """And names its line."""
    item = "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: {}\n"
    write("a.yaml", f"apiVersion: v1\nitems:\n{item.format('a')}{item.format('[')}{item.format('c')}kind: List\n")
    assert names(read(tmp_path)) == ["Pod default/a", "Pod default/c"]


def test_namespaces_are_set_as_kubectl_sets_them(write: Write, tmp_path: Path) -> None:
    """Where they belong, and only there; a kind that nobody knows keeps what it says."""
    thing = "apiVersion: {}\nkind: {}\nmetadata:\n  name: x\n{}---\n"
    write(
        "a.yaml",
        thing.format("v1", "ConfigMap", "")
        + thing.format("rbac.authorization.k8s.io/v1", "ClusterRole", "  namespace: wrong\n")
        + thing.format("example.com/v1", "Thing", "")
        + pod("x", "shop"),
    )
    assert names(read(tmp_path)) == ["ClusterRole x", "ConfigMap default/x", "Pod shop/x", "Thing x"]


def test_of_an_object_in_two_files_the_last_one_counts(write: Write, tmp_path: Path) -> None:
    """With a note."""
    write("a.yaml", pod("x"))
    write("b.yaml", "---\n" + pod("x"))
    found = read(tmp_path)
    notes = ["b.yaml:2: Pod default/x stands also at a.yaml:1; the last one counts"]
    assert (origins(found, tmp_path), reasons(found, ReadState.SKIPPED, tmp_path)) == (["b.yaml:2"], notes)


def test_a_malformed_document_is_named_and_the_rest_is_read(write: Write, tmp_path: Path) -> None:
    """By file, document and line."""
    write("a.yaml", f"{pod('a')}---\nkind: X\na: b: c\n---\n{pod('b')}")
    write("c.yaml", pod("c"))
    found = read(tmp_path)
    said = ["a.yaml: document 2, line 9: mapping values are not allowed in this context"]
    assert (names(found), reasons(found, ReadState.PARTIAL, tmp_path)) == (
        ["Pod default/a", "Pod default/b", "Pod default/c"],
        said,
    )


def test_what_a_refused_document_would_have_held_is_not_known(write: Write, tmp_path: Path) -> None:
    """It could be of any kind."""
    write("a.yaml", pod("a") + "---\na: [\n")
    assert partial_kinds(read(tmp_path)) == {*(r.name for r in RESOURCES), "TLS Secrets", "ConfigMap"}


def test_a_refused_document_that_names_its_kind_leaves_the_others_alone(write: Write, tmp_path: Path) -> None:
    """Only roles are then not all known."""
    write("a.yaml", f"{pod('a')}---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: [\n")
    assert partial_kinds(read(tmp_path)) == {"roles.rbac.authorization.k8s.io"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apiVersion: v1\nmetadata: {name: a}\n", "object: kind is missing"),
        ("kind: Pod\nmetadata: {name: a}\n", "Pod: apiVersion is missing"),
        ("apiVersion: v1\nkind: Pod\n", "Pod: metadata.name is missing"),
        ("- 1\n", "not an object"),
        ("kind: Pod\nkind: Job\n", "the key 'kind' stands twice in one map"),
        ("a: \x07\n", "a control character"),
        ('apiVersion: v1\nkind: "\\e[31m"\nmetadata: {}\n', "\\x1b[31m: metadata.name is missing"),
        ("a: {{ .Values.a }}\n", "a key is a list, a map or null (a template? let helm render it first)"),
    ],
)
def test_what_is_refused_says_why(write: Write, tmp_path: Path, text: str, said: str) -> None:
    """In one line that a terminal can show."""
    write("a.yaml", text)
    assert [
        r.rpartition("line ")[2].partition(": ")[2] for r in reasons(read(tmp_path), ReadState.PARTIAL, tmp_path)
    ] == [said]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
        ("values.yaml", "kind: DaemonSet\nreplicas: 3\n"),
        ("kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n"),
    ],
)
def test_yaml_that_is_no_manifest_is_passed_over_in_a_folder(
    write: Write, tmp_path: Path, name: str, text: str
) -> None:
    """With a note, and every kind stays read."""
    write(name, text)
    write("a.yaml", pod("a"))
    found = read(tmp_path)
    assert (len(reasons(found, ReadState.SKIPPED, tmp_path)), partial_kinds(found)) == (1, set())


def test_yaml_that_is_no_manifest_is_refused_if_it_was_named(write: Write, tmp_path: Path) -> None:
    """Whoever names a file means it."""
    path = write("values.yaml", "replicas: 3\n")
    assert reasons(read(path), ReadState.PARTIAL, tmp_path) == [
        "values.yaml: document 1, line 1: no object of Kubernetes"
    ]


def test_a_folder_without_manifests_is_an_error(tmp_path: Path) -> None:
    """A scan of nothing would be green."""
    with pytest.raises(InputError, match="no Kubernetes manifests there"):
        read(tmp_path)


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """Named."""
    with pytest.raises(InputError, match="missing: no such file or directory"):
        read(tmp_path / "missing")


def test_links_that_lead_around_in_circles_are_followed_once(write: Write, tmp_path: Path) -> None:
    """Folders by themselves, files with a refusal."""
    write("in/a.yaml", pod("a"))
    (tmp_path / "in" / "around").symlink_to(tmp_path)
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    found = read(tmp_path)
    assert (names(found), reasons(found, ReadState.PARTIAL, tmp_path)) == (
        ["Pod default/a"],
        ["loop.yaml: too many levels of symbolic links"],
    )


def test_a_linked_file_is_read(write: Write, tmp_path: Path) -> None:
    """A mounted ConfigMap consists of links into a hidden folder."""
    write("..data/a.yaml", pod("a"))
    (tmp_path / "a.yaml").symlink_to(tmp_path / "..data" / "a.yaml")
    assert names(read(tmp_path)) == ["Pod default/a"]


def test_control_characters_in_file_names_are_spelled_out(write: Write, tmp_path: Path) -> None:
    """No terminal obeys a file name."""
    write("a\x1b[31m.yaml", "a: [\n")
    assert all(r.reason.isprintable() for r in read(tmp_path).coverage)


def test_values_of_secrets_are_dropped(write: Write, tmp_path: Path) -> None:
    """Also those of the annotation that kubectl leaves."""
    annotation = f"  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{CANARY}'\n"
    write(
        "a.yaml",
        f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n{annotation}stringData:\n  password: {CANARY}\n",
    )
    assert CANARY not in repr(read(tmp_path))


def many(write: Write) -> None:
    """Write a folder that is worth worker processes, with all that may go wrong in it."""
    write("0.yaml", "---\n".join(pod(f"a{n}", "shop") for n in range(3000)))
    write("1.yaml", "---\n".join(f"{pod(f'b{n}')}  enableServiceLinks: yes # é\n" for n in range(300)))
    write("2.yaml", "---\n".join([pod("c"), "a: b: c\n", "kind: 1\nkind: 2\n", pod("d")]))
    write("3.json", json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "e"}}))


def test_worker_processes_read_what_one_process_reads(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same objects, lines and refusals, in the same order."""
    many(write)
    apart = read(tmp_path)
    monkeypatch.setattr(manifests, "_ALONE_BYTES", 2**40)
    assert apart == read(tmp_path)


def test_large_files_are_cut_for_all_workers(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same outcome."""
    many(write)
    whole = read(tmp_path)
    monkeypatch.setattr(manifests, "_WHOLE_FILE_BYTES", 0)
    monkeypatch.setattr(manifests, "_BATCH_BYTES", 10_000)
    assert whole == read(tmp_path)


def test_a_worker_that_dies_costs_nothing(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had is read without it."""
    many(write)
    alive = read(tmp_path)
    monkeypatch.setattr("scanner.cluster.reading_pool._COMMAND", "import os; os.abort()")
    assert alive == read(tmp_path)


def test_progress_is_told_and_never_falls(write: Write, tmp_path: Path) -> None:
    """Up to the end."""
    many(write)
    told: list[tuple[int, float]] = []
    read_manifests(
        [tmp_path], cluster=ClusterName("c"), now=NOW, progress=lambda _, count, part: told.append((count, part))
    )
    assert told == sorted(told)
    assert told[-1] == (3303, 1.0)


def test_reading_stops_when_the_caller_fails(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Ctrl-C: what is left is not read to the end."""
    many(write)
    for number in range(30):
        write(f"more-{number}.yaml", pod(f"more-{number}"))
    monkeypatch.setattr(manifests, "_BATCH_BYTES", 1)
    told: list[int] = []

    def fail(_what: str, count: int, _part: float) -> None:
        told.append(count)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_manifests([tmp_path], cluster=ClusterName("c"), now=NOW, progress=fail)
    assert len(told) <= MAX_WORKERS
