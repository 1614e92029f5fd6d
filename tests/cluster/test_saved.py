"""A saved snapshot is the snapshot, or an error that says why not."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.analysis.secrets.pem import bundle_of
from scanner.cluster.saved import load_snapshot, save_snapshot
from scanner.errors import InputError
from scanner.model.certificate import Presented
from scanner.model.coverage import Read, ReadState
from scanner.model.snapshot import Snapshot, SourceKind
from tests.builders import role, rule, snapshot
from tests.certificates import certificate

CANARY = "hunter2-canary"

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
things = st.builds(
    lambda name, labels, spec: {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": spec,
    },
    words,
    st.dictionaries(words, words, max_size=2),
    json_values,
)
reads = st.builds(
    Read, resource=words, state=st.sampled_from(ReadState), namespace=words, reason=words, count=st.integers(0, 9)
)


def example() -> Snapshot:
    """Make a snapshot with a Secret, a pod and a role."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop", "annotations": {"note": CANARY}},
        "data": {"password": CANARY},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"nodeName": "n"},
    }
    return snapshot(secret, pod, role("reader", rule("get", "pods")), source=SourceKind.LIVE)


def test_what_the_connection_rests_on_is_saved(tmp_path: Path) -> None:
    """Facts of certificates, and none."""
    shown = Presented(role="api-server", bundle=bundle_of(certificate("kube", "kube", "10.0.0.1").pem))
    found = replace(example(), presented=(shown,))
    assert load_snapshot(saved(found, tmp_path)) == found


def saved(found: Snapshot, folder: Path) -> Path:
    """Save a snapshot."""
    path = folder / "cluster.snapshot"
    save_snapshot(found, path)
    return path


def rewritten(path: Path, **header: object) -> Path:
    """Change the header of a saved snapshot."""
    first, rest = gzip.decompress(path.read_bytes()).split(b"\n", 1)
    path.write_bytes(gzip.compress(json.dumps(json.loads(first) | header).encode() + b"\n" + rest))
    return path


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """Every field of it."""
    assert load_snapshot(saved(example(), tmp_path)) == example()


@given(st.lists(things, max_size=4), st.lists(reads, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_loading_undoes_saving(tmp_path: Path, objects: list[dict[str, object]], coverage: list[Read]) -> None:
    """For any object and any coverage."""
    found = snapshot(*objects, coverage=coverage)
    assert load_snapshot(saved(found, tmp_path)) == found


def test_json_over_several_lines_comes_back_byte_for_byte(tmp_path: Path) -> None:
    """A server may write it so."""
    found = example()
    objects = {
        kind: tuple(msgspec.structs.replace(o, status=b'{\n"a": 1}') for o in os) for kind, os in found.objects.items()
    }
    spread = Snapshot(found.cluster, found.source, found.taken_at, objects, found.coverage)
    assert load_snapshot(saved(spread, tmp_path)) == spread


def test_equal_snapshots_are_equal_files(tmp_path: Path) -> None:
    """No time, no name."""
    first = saved(example(), tmp_path).read_bytes()
    assert saved(example(), tmp_path).read_bytes() == first


def test_only_the_owner_may_read_a_saved_snapshot(tmp_path: Path) -> None:
    """It tells how a cluster is built."""
    assert saved(example(), tmp_path).stat().st_mode & 0o777 == 0o600


def test_no_value_of_a_secret_is_saved(tmp_path: Path) -> None:
    """Neither of its data nor of its annotations."""
    assert CANARY.encode() not in gzip.decompress(saved(example(), tmp_path).read_bytes())


def test_values_of_a_secret_that_someone_put_into_a_file_are_dropped(tmp_path: Path) -> None:
    """A body has room for none."""
    path = saved(example(), tmp_path)
    text = gzip.decompress(path.read_bytes()).replace(b'"keys"', f'"data":{{"x":"{CANARY}"}},"keys"'.encode())
    path.write_bytes(gzip.compress(text, mtime=0))
    assert CANARY not in repr(load_snapshot(path))


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    """Neither when it was written nor when it could not be."""
    (tmp_path / "folder").mkdir()
    saved(example(), tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        save_snapshot(example(), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cluster.snapshot", "folder"]


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_a_file_that_breaks_off_is_an_error(tmp_path: Path, kept: float) -> None:
    """Wherever it does."""
    path = saved(example(), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match="breaks off: copy it again"):
        load_snapshot(path)


def test_a_file_with_lines_taken_out_is_an_error(tmp_path: Path) -> None:
    """The end counts them."""
    path = saved(example(), tmp_path)
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:-2] + lines[-1:])))
    with pytest.raises(InputError, match="objects are missing"):
        load_snapshot(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a: 1\n",
        gzip.compress(b"a: 1\n", mtime=0),
        gzip.compress(b"{}\n", mtime=0),
        gzip.compress(b"[1]", mtime=0),
    ],
)
def test_another_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    """That says what it is not."""
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other: (not a saved snapshot|breaks off)"):
        load_snapshot(path)


def test_a_file_of_a_newer_release_is_an_error(tmp_path: Path) -> None:
    """That says what to do."""
    with pytest.raises(InputError, match="update plimsoll"):
        load_snapshot(rewritten(saved(example(), tmp_path), version=2, more="fields"))


def test_an_object_that_is_not_of_its_shape_is_an_error(tmp_path: Path) -> None:
    """Nothing behind checks it again."""
    path = saved(example(), tmp_path)
    text = gzip.decompress(path.read_bytes()).replace(b'"rules":[{', b'"rules":[3,{')
    path.write_bytes(gzip.compress(text, mtime=0))
    with pytest.raises(InputError, match=r"line \d+: not a line of a snapshot"):
        load_snapshot(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """Like any other path."""
    with pytest.raises(InputError, match="No such file"):
        load_snapshot(tmp_path / "missing")
