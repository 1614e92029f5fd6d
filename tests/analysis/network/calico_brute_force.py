"""What Calico's policies say of one connection, straight from its reference pages: one end, one peer, one port.

Selectors are texts whose meaning stands beside them, written by hand, so that nothing here reads their grammar.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.analysis.network.ranges import is_whole, within

Object = Mapping[str, Any]
Labels = Mapping[str, str]

#: Each selector with what it means; `None` for a label that is not there.
SELECTORS: Mapping[str, Callable[[Labels], bool]] = {
    "all()": lambda _: True,
    "app == 'a'": lambda found: found.get("app") == "a",
    'app=="b"': lambda found: found.get("app") == "b",
    "app != 'a'": lambda found: found.get("app") != "a",
    "has(tier)": lambda found: "tier" in found,
    "!has(tier)": lambda found: "tier" not in found,
    "!!has( app )": lambda found: "app" in found,
    "app in {'a', \"c\"}": lambda found: found.get("app") in {"a", "c"},
    "app not in {'a'}": lambda found: found.get("app") != "a",
    "tier in {}": lambda _: False,
    "app contains 'a'": lambda found: "a" in found.get("app", ""),
    "tier starts with 'b'": lambda found: found.get("tier", "").startswith("b"),
    "tier ends with 'c'": lambda found: found.get("tier", "").endswith("c"),
    "!(app == 'a') && has(tier)": lambda found: found.get("app") != "a" and "tier" in found,
    "app == 'a' || tier == 'b' && has(app)": lambda found: (
        found.get("app") == "a" or (found.get("tier") == "b" and "app" in found)
    ),
    "(app == 'a' || tier == 'b') && has(app)": lambda found: (
        (found.get("app") == "a" or found.get("tier") == "b") and "app" in found
    ),
}
#: More for endpoints, by the labels that Calico adds.
ENDPOINT_SELECTORS: Mapping[str, Callable[[Labels], bool]] = {
    **SELECTORS,
    "projectcalico.org/namespace == 'shop'": lambda found: found.get("projectcalico.org/namespace") == "shop",
    "projectcalico.org/serviceaccount starts with 'r'": lambda found: found.get(
        "projectcalico.org/serviceaccount", ""
    ).startswith("r"),
    "has(projectcalico.org/orchestrator)": lambda found: "projectcalico.org/orchestrator" in found,
    "global()": lambda found: "projectcalico.org/namespace" not in found,
}
#: More for namespaces and service accounts, by their name.
NAMED_SELECTORS: Mapping[str, Callable[[Labels], bool]] = {
    **SELECTORS,
    "projectcalico.org/name == 'shop'": lambda found: found.get("projectcalico.org/name") == "shop",
    "projectcalico.org/name contains 'o'": lambda found: "o" in found.get("projectcalico.org/name", ""),
}

FIXED = {"default": (1_000_000.0, "Deny"), "kube-admin": (1000.0, "Pass"), "kube-baseline": (10_000_000.0, "Pass")}


@dataclass(frozen=True)
class Side:
    """One end as the policies of another see it."""

    world: Sequence[Object]
    direction: str
    own: Object
    peer: Object | str
    wanted: tuple[str, int]
    #: Where pods have no address: of which family it would be.
    family: int

    def tiers(self) -> list[tuple[float, str, str]]:
        """Return the order, name and default action of all tiers, in order."""
        given = {
            o["metadata"]["name"]: (o["spec"].get("order", math.inf), o["spec"].get("defaultAction", "Deny"))
            for o in self.world
            if o["kind"] == "Tier"
        }
        return sorted((order, name, action) for name, (order, action) in (given | FIXED).items())

    def orders(self, tier: str, others: Sequence[tuple[float, str, str, Object]]) -> Iterator[list[Object]]:
        """Yield the policies of a tier for the own end, in each order that may be meant.

        `others` are more of the tier's policies as order, kind, name and object.
        """
        found = [
            (o["spec"].get("order", math.inf), o["kind"], o["metadata"]["name"], o)
            for o in self.world
            if is_calico(o) and o["spec"].get("tier", "default") == tier and self._applies(o)
        ]
        found += others
        for several in itertools.permutations(found):
            if all(_may_precede(a, b) for i, a in enumerate(several) for b in several[i + 1 :]):
                yield [policy for *_, policy in several]

    def _applies(self, policy: Object) -> bool:
        spec, metadata = policy["spec"], self.own["metadata"]
        rules = [name for name in ("ingress", "egress") if spec.get(name)]
        types = spec.get("types") or [name.capitalize() for name in rules] or ["Ingress"]
        if self.direction.capitalize() not in types or self.own["spec"].get("hostNetwork"):
            return False
        if policy["kind"] == "NetworkPolicy" and policy["metadata"]["namespace"] != metadata["namespace"]:
            return False
        labels = self._endpoint_labels(self.own)
        if not ENDPOINT_SELECTORS[spec.get("selector") or "all()"](labels):
            return False
        namespace_selector = spec.get("namespaceSelector")
        if namespace_selector and not self._namespace_is(namespace_selector, metadata["namespace"]):
            return False
        account = spec.get("serviceAccountSelector")
        return not account or self._account_is(account, self.own)

    def verdict(self, policy: Object) -> str:
        """Return what the first rule that matches says; empty if none does, or only such that log."""
        for rule in policy["spec"].get(self.direction) or ():
            if rule["action"] != "Log" and self._matches(policy, rule):
                return str(rule["action"])
        return ""

    def _matches(self, policy: Object, rule: Object) -> bool:
        source: Object = rule.get("source", {})
        destination: Object = rule.get("destination", {})
        own, peer = (destination, source) if self.direction == "ingress" else (source, destination)
        namespace = policy["metadata"].get("namespace", "")
        return (
            self._is_protocol(rule)
            and self._is_family(rule)
            and self._is_entity(own, self.own, namespace)
            and self._is_entity(peer, self.peer, namespace)
            and self._is_port(destination)
        )

    def _is_protocol(self, rule: Object) -> bool:
        numbers = {"TCP": 6, "UDP": 17, "SCTP": 132}
        names = (self.wanted[0], numbers[self.wanted[0]])
        return rule.get("protocol", self.wanted[0]) in names and rule.get("notProtocol") not in names

    def _is_family(self, rule: Object) -> bool:
        if "ipVersion" not in rule:
            return True
        end = self.peer if isinstance(self.peer, str) else _address(self.peer)
        family = (6 if ":" in end else 4) if end else self.family
        return bool(rule["ipVersion"] == family)

    def _is_port(self, destination: Object) -> bool:
        named = [*destination.get("ports", ()), *destination.get("notPorts", ())]
        if not named:
            return True
        ports, others = destination.get("ports"), destination.get("notPorts", ())
        is_one = ports is None or any(self._is_one_port(port) for port in ports)
        return is_one and not any(self._is_one_port(port) for port in others)

    def _is_one_port(self, port: int | str) -> bool:
        if isinstance(port, int):
            return self.wanted[1] == port
        if ":" in port:
            first, _, last = port.partition(":")
            return int(first) <= self.wanted[1] <= int(last)
        target = self.own if self.direction == "ingress" else self.peer
        if isinstance(target, str):
            return False
        open_ = [p for c in target["spec"]["containers"] for p in c["ports"]]
        return any(p["name"] == port and (p["protocol"], p["containerPort"]) == self.wanted for p in open_)

    def _is_entity(self, entity: Object, end: Object | str, namespace: str) -> bool:
        """Tell whether all that a rule says of one end holds for it."""
        selecting = {"selector", "notSelector", "namespaceSelector", "serviceAccounts"} & entity.keys()
        is_positive = selecting - {"notSelector"} or (namespace and selecting)
        if is_positive and not self._is_selected(entity, end, namespace):
            return False
        if "notSelector" in entity:
            only = {"selector": entity["notSelector"]}
            scope = "" if "namespaceSelector" in entity else namespace
            if self._is_selected(only, end, scope):
                return False
        if "nets" in entity and not self._is_within(end, entity["nets"]):
            return False
        return "notNets" not in entity or not self._is_within(end, entity["notNets"])

    def _is_selected(self, entity: Object, end: Object | str, namespace: str) -> bool:
        """Tell whether an end is an endpoint that is selected, or lies in a network set that is."""
        if not isinstance(end, str) and not end["spec"].get("hostNetwork"):
            labels = self._endpoint_labels(end)
            accounts = entity.get("serviceAccounts", {})
            name = end["spec"].get("serviceAccountName", "default")
            if (
                ENDPOINT_SELECTORS[entity.get("selector", "all()")](labels)
                and self._is_in_scope(entity, end["metadata"]["namespace"], namespace)
                and ("names" not in accounts or name in accounts["names"])
                and ("selector" not in accounts or self._account_is(accounts["selector"], end))
            ):
                return True
        if "serviceAccounts" in entity and entity["serviceAccounts"] != {"selector": "all()"}:
            return self._is_without_account(entity, end, namespace)
        return self._is_in_set(entity, end, namespace)

    def _is_without_account(self, entity: Object, end: Object | str, namespace: str) -> bool:
        """Network sets have no service account: they are selected by what holds without labels."""
        accounts = entity["serviceAccounts"]
        if "names" in accounts or not SELECTORS_WITHOUT_LABELS[accounts["selector"]]:
            return False
        return self._is_in_set(entity, end, namespace)

    def _is_in_set(self, entity: Object, end: Object | str, namespace: str) -> bool:
        networks = [
            network
            for found in self.world
            if found["kind"] in {"NetworkSet", "GlobalNetworkSet"}
            and ENDPOINT_SELECTORS[entity.get("selector", "all()")](_set_labels(found))
            and self._is_in_scope(entity, found["metadata"].get("namespace", ""), namespace)
            for network in found["spec"]["nets"]
        ]
        return bool(networks) and self._is_within(end, networks)

    def _is_in_scope(self, entity: Object, own: str, namespace: str) -> bool:
        """Tell whether what is in a namespace, or in none, may be meant."""
        selector = entity.get("namespaceSelector")
        if selector is None:
            return not namespace or own == namespace
        if selector == "global()":
            return not own
        if selector == "all()":
            return bool(own)
        return self._namespace_is(selector, own) if own else NAMED_SELECTORS[selector]({})

    def _is_within(self, end: Object | str, networks: Sequence[str]) -> bool:
        address = end if isinstance(end, str) else _address(end)
        if not address:
            return is_whole(networks, self.family)
        return any(within(address, network) for network in networks)

    def _endpoint_labels(self, pod: Object) -> Labels:
        added = {
            "projectcalico.org/namespace": pod["metadata"]["namespace"],
            "projectcalico.org/orchestrator": "k8s",
            "projectcalico.org/serviceaccount": pod["spec"].get("serviceAccountName", "default"),
        }
        return {**pod["metadata"]["labels"], **added}

    def _namespace_is(self, selector: str, name: str) -> bool:
        if selector == "global()":
            return False
        labels = next(
            o["metadata"]["labels"] for o in self.world if o["kind"] == "Namespace" and o["metadata"]["name"] == name
        )
        return NAMED_SELECTORS[selector]({**labels, "projectcalico.org/name": name})

    def _account_is(self, selector: str, pod: Object) -> bool:
        name = pod["spec"].get("serviceAccountName", "default")
        place = {"name": name, "namespace": pod["metadata"]["namespace"]}
        found = [o for o in self.world if o["kind"] == "ServiceAccount" and o["metadata"].items() >= place.items()]
        return NAMED_SELECTORS[selector]({**found[0]["metadata"]["labels"], "projectcalico.org/name": name})


#: What a selector says of something without any label.
SELECTORS_WITHOUT_LABELS = {text: means({}) for text, means in NAMED_SELECTORS.items()}


def is_calico(policy: Object) -> bool:
    """Tell whether an object is one of Calico's policies."""
    return "projectcalico.org" in policy["apiVersion"] and policy["kind"] in {"NetworkPolicy", "GlobalNetworkPolicy"}


def _may_precede(one: tuple[float, str, str, Object], other: tuple[float, str, str, Object]) -> bool:
    """Tell whether one policy may be asked before another: by order, and by name those of a kind."""
    if one[0] != other[0]:
        return one[0] < other[0]
    return one[1] != other[1] or one[2] < other[2]


def _set_labels(found: Object) -> Labels:
    namespace = found["metadata"].get("namespace")
    added = {"projectcalico.org/namespace": namespace} if namespace else {}
    return {**found["metadata"]["labels"], **added}


def _address(pod: Object) -> str:
    return "".join(ip["ip"] for ip in pod["status"].get("podIPs", ())[:1])
