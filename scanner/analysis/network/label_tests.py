"""Which tests of labels a pod passes: of its own labels, those of its namespace and of its service account.

These are the labels that Calico gives the endpoint of a pod: its own, those of the namespace behind `pcns.`, those of
the service account behind `pcsa.`, and the names of all three.

Source: https://docs.tigera.io/calico/latest/network-policy/get-started/calico-policy/calico-labels, and the profiles
`kns.<namespace>` and `ksa.<namespace>.<name>` of https://docs.tigera.io/calico/latest/reference/resources/profile.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from scanner.analysis.network.rules import LabelTest, TestKind
from scanner.analysis.network.selection import GENERATED_LABELS
from scanner.model.objects import labels_of
from scanner.model.snapshot import Snapshot

NAMESPACE_PREFIX = "pcns."
ACCOUNT_PREFIX = "pcsa."
NAMESPACE_LABEL = "projectcalico.org/namespace"
ACCOUNT_LABEL = "projectcalico.org/serviceaccount"
NAME_LABEL = "projectcalico.org/name"
_ORCHESTRATOR_LABEL = "projectcalico.org/orchestrator"
#: Set by the API server.
_METADATA_NAME = "kubernetes.io/metadata.name"
#: What is known of every namespace and service account.
_NAMES = frozenset({NAMESPACE_PREFIX + NAME_LABEL, NAMESPACE_PREFIX + _METADATA_NAME, ACCOUNT_PREFIX + NAME_LABEL})

_Tests: TypeAlias = tuple[LabelTest, ...]


class ServiceAccountName(NamedTuple):
    """A service account by namespace and name."""

    namespace: str
    name: str


def passes(test: LabelTest, value: str) -> bool:
    """Tell whether a label with a value passes a test of its key."""
    match test.kind:
        case TestKind.HAS:
            return True
        case TestKind.EQUALS:
            return value == test.value
        case TestKind.CONTAINS:
            return test.value in value
        case TestKind.STARTS_WITH:
            return value.startswith(test.value)
        case TestKind.ENDS_WITH:
            return value.endswith(test.value)


class TestIndex:
    """Tests by what they look at, so that a label finds those that it passes."""

    __test__ = False  # the name of a class that pytest would collect

    def __init__(self, tests: Iterable[LabelTest]) -> None:
        self._equal: dict[tuple[str, str], LabelTest] = {}
        self._others: dict[str, list[LabelTest]] = defaultdict(list)
        self.by_key: dict[str, list[LabelTest]] = defaultdict(list)
        for test in tests:
            self.by_key[test.key].append(test)
            if test.kind is TestKind.EQUALS:
                self._equal[test.key, test.value] = test
            else:
                self._others[test.key].append(test)

    def passed(self, labels: Iterable[tuple[str, str]]) -> Iterator[LabelTest]:
        """Yield the tests that these labels pass."""
        for key, value in labels:
            if (key, value) in self._equal:
                yield self._equal[key, value]
            yield from (test for test in self._others.get(key, ()) if passes(test, value))


class LabelTests:
    """Tells for the pods of a snapshot which tests they pass, and of which that is not known."""

    def __init__(
        self,
        snapshot: Snapshot,
        everywhere: Iterable[LabelTest],
        own: Mapping[str, Iterable[LabelTest]],
        *,
        are_labels_known: bool,
    ) -> None:
        """Take tests for all pods and for those of one namespace; labels that were not read may count as none."""
        self._snapshot = snapshot
        self._everywhere = tuple(everywhere)
        self._own = own
        self._accounts = {
            ServiceAccountName(o.meta.namespace, o.meta.name): labels_of(o) for o in snapshot.of("", "ServiceAccount")
        }
        self._read_namespaces = {o.meta.name for o in snapshot.of("", "Namespace")}
        self._are_labels_known = are_labels_known
        self._indexes: dict[str, TestIndex] = {}
        self._of_accounts: dict[ServiceAccountName, tuple[_Tests, _Tests]] = {}

    def ask(self, account: ServiceAccountName, labels: Mapping[str, str], *, is_running: bool) -> tuple[_Tests, _Tests]:
        """Return the tests that a pod passes and those that hang on labels that are not known, each in order."""
        if not self._everywhere and account.namespace not in self._own:
            return (), ()
        index = self._index(account.namespace)
        passed, unknown = self._of_account(account, index)
        own = tuple(index.passed(labels.items()))
        to_come = () if is_running else GENERATED_LABELS - labels.keys()
        hidden = tuple(test for key in to_come for test in index.by_key.get(key, ()))
        return tuple(sorted({*passed, *own}, key=_key)), tuple(sorted({*unknown, *hidden}, key=_key))

    def _index(self, namespace: str) -> TestIndex:
        has_own = namespace in self._own
        name = namespace if has_own else ""
        if name not in self._indexes:
            own = self._own[namespace] if has_own else ()
            self._indexes[name] = TestIndex({*self._everywhere, *own})
        return self._indexes[name]

    def _of_account(self, account: ServiceAccountName, index: TestIndex) -> tuple[_Tests, _Tests]:
        """Return what the namespace and the service account alone decide, or leave open."""
        if account not in self._of_accounts:
            passed = tuple(index.passed(self._inherited(account)))
            unknown = tuple(
                test for key, tests in index.by_key.items() if self._is_hidden(account, key) for test in tests
            )
            self._of_accounts[account] = passed, unknown
        return self._of_accounts[account]

    def _inherited(self, account: ServiceAccountName) -> Iterator[tuple[str, str]]:
        yield _ORCHESTRATOR_LABEL, "k8s"
        yield NAMESPACE_LABEL, account.namespace
        yield ACCOUNT_LABEL, account.name
        yield NAMESPACE_PREFIX + NAME_LABEL, account.namespace
        yield NAMESPACE_PREFIX + _METADATA_NAME, account.namespace
        yield ACCOUNT_PREFIX + NAME_LABEL, account.name
        given = self._snapshot.namespaces.get(account.namespace, {})
        yield from ((NAMESPACE_PREFIX + key, value) for key, value in given.items() if key != _METADATA_NAME)
        yield from ((ACCOUNT_PREFIX + key, value) for key, value in self._accounts.get(account, {}).items())

    def _is_hidden(self, account: ServiceAccountName, key: str) -> bool:
        if self._are_labels_known or key in _NAMES:
            return False
        if key.startswith(NAMESPACE_PREFIX):
            return account.namespace not in self._read_namespaces
        return key.startswith(ACCOUNT_PREFIX) and account not in self._accounts


def _key(test: LabelTest) -> tuple[str, str, str]:
    return (test.key, test.kind, test.value)
