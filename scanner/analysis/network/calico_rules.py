"""One rule of a Calico policy: whom it means, of whose pods, on which ports.

All criteria of a rule must hold. A selector of a namespaced policy means its namespace, unless the rule selects
others; so does a `notSelector` alone. A selector means pods, network sets and host endpoints; a rule without one means
everyone.
What is not evaluated (HTTP, Services, source ports, a selector that is none) stays one criterion among the others, of
which it is not known for whom it holds.

Source: https://docs.tigera.io/calico/latest/reference/resources/networkpolicy (Rule, EntityRule); for `notSelector` the
conversion in libcalico-go/lib/backend/syncersv1/updateprocessors/rules.go, which the text does not tell.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from scanner.analysis.network.addresses import EVERY_IPV4, EVERY_IPV6, without
from scanner.analysis.network.calico_selectors import OF_ACCOUNTS, OF_NAMESPACES, equals, parsed
from scanner.analysis.network.calico_world import CalicoWorld
from scanner.analysis.network.label_tests import ACCOUNT_LABEL
from scanner.analysis.network.ports import PROTOCOLS, Span, merged, port_span
from scanner.analysis.network.rules import (
    Action,
    AllOf,
    AnyOf,
    Block,
    Direction,
    Everyone,
    NamedPort,
    Not,
    Peer,
    Port,
    Rule,
    Undecided,
)

_ACTIONS = {"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_NUMBERS = {6: "TCP", 17: "UDP", 132: "SCTP"}
#: Protocols without ports that a workload's connection is told by.
_OTHERS = frozenset({"ICMP", "ICMPV6", "UDPLITE"})
_MAX_PROTOCOL = 255
_MAX_PORT = 65535
_RANGE = re.compile(r"(\d{1,5}):(\d{1,5})")
_FAMILIES = {4: EVERY_IPV4, 6: EVERY_IPV6}


class _Accounts(msgspec.Struct, forbid_unknown_fields=True):
    names: tuple[str, ...] | None = None
    selector: str | None = None


class _Entity(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    nets: tuple[str, ...] | None = None
    not_nets: tuple[str, ...] | None = None
    selector: str | None = None
    not_selector: str | None = None
    namespace_selector: str | None = None
    service_accounts: _Accounts | None = None
    services: dict[str, Any] | None = None
    ports: tuple[int | str, ...] | None = None
    not_ports: tuple[int | str, ...] | None = None


class CalicoRule(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A rule as it is written."""

    action: str = ""
    protocol: int | str | None = None
    not_protocol: int | str | None = None
    icmp: dict[str, Any] | None = None
    not_icmp: dict[str, Any] | None = msgspec.field(default=None, name="notICMP")
    ip_version: int | None = None
    source: _Entity | None = None
    destination: _Entity | None = None
    http: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A rule, and of which of its policy's pods it is; None if of all."""

    own: Peer | None
    rule: Rule


class RuleReader:
    """Reads the rules of one policy."""

    def __init__(self, world: CalicoWorld, namespace: str, who: str) -> None:
        """Take the policy's namespace, empty for one of the cluster, and its name for complaints."""
        self._world = world
        self._namespace = namespace
        self._who = who

    def rule(self, written: object, direction: Direction, path: str) -> OwnRule | None:
        """Return a rule; None for one that only logs."""
        try:
            rule = msgspec.convert(written, CalicoRule)
        except msgspec.ValidationError as error:
            fault = Undecided(f"{self._who}: {path}: {error}")
            return OwnRule(None, Rule(Action.UNDECIDED, (fault,), None, path))
        if rule.action == "Log":
            return None
        here, there = rule.source or _Entity(), rule.destination or _Entity()
        own, peer = (there, here) if direction is Direction.INGRESS else (here, there)
        criteria = list(self._entity(peer, path))
        ports: tuple[Port, ...] | None = None
        try:
            ports = _ports(rule, there)
        except ValueError as error:
            criteria.append(self._doubt(path, str(error)))
        criteria += self._of_rule(rule, here, there, path)
        own_criteria = tuple(self._entity(own, path))
        action = _ACTIONS.get(rule.action, Action.UNDECIDED)
        means: Peer = AllOf(tuple(criteria)) if criteria else Everyone()
        return OwnRule(AllOf(own_criteria) if own_criteria else None, Rule(action, (means,), ports, path))

    def _of_rule(self, rule: CalicoRule, source: _Entity, destination: _Entity, path: str) -> Iterator[Peer]:
        """Yield the criteria that are about neither end, and those of which nobody can tell for whom they hold."""
        if rule.action not in _ACTIONS:
            yield self._doubt(path, f"unknown action {rule.action!r}")
        if rule.ip_version in _FAMILIES:
            yield Block((_FAMILIES[rule.ip_version],), self._world.meaning)
        elif rule.ip_version is not None:
            yield self._doubt(path, f"unknown ipVersion {rule.ip_version}")
        if rule.http is not None:
            yield self._doubt(path, "http is not evaluated")
        if (rule.icmp is not None or rule.not_icmp is not None) and _protocols(rule):
            yield self._doubt(path, "icmp with a protocol that is none")
        if source.ports or source.not_ports:
            yield self._doubt(path, "the port that a connection comes from is not evaluated")
        if destination.not_ports and any(isinstance(_port_spans(port), str) for port in destination.not_ports):
            yield self._doubt(path, "notPorts by name are not evaluated")

    def _entity(self, entity: _Entity, path: str) -> Iterator[Peer]:
        """Yield the criteria of one end."""
        yield from self._tried(path, lambda: self._selectors(entity))
        if entity.nets:
            yield from self._tried(path, lambda: [self._world.block(entity.nets or ())])
        if entity.not_nets:
            yield from self._tried(path, lambda: [Not(self._world.block(entity.not_nets or ()))])
        if entity.services is not None:
            yield self._doubt(path, "services are not evaluated")

    def _selectors(self, entity: _Entity) -> list[Peer]:
        accounts = entity.service_accounts or _Accounts()
        claims = [*self._accounts(accounts)]
        if entity.selector:
            claims.append(parsed(entity.selector))
        if entity.namespace_selector:
            claims.insert(0, parsed(entity.namespace_selector, OF_NAMESPACES))
        is_scoped = bool(self._namespace) and not entity.namespace_selector
        if not claims and not entity.not_selector:
            return []
        namespace = self._namespace if is_scoped else ""
        found: list[Peer] = []
        if claims or namespace:
            found.append(self._world.selected(AllOf(tuple(claims)), namespace))
        if entity.not_selector:
            found.append(Not(self._world.selected(parsed(entity.not_selector), namespace)))
        return found

    def _accounts(self, accounts: _Accounts) -> Iterator[Peer]:
        if accounts.selector:
            yield parsed(accounts.selector, OF_ACCOUNTS)
        if accounts.names:
            yield AnyOf(tuple(equals(ACCOUNT_LABEL, name) for name in accounts.names))

    def _tried(self, path: str, read: Callable[[], Iterable[Peer]]) -> Iterator[Peer]:
        """Yield what is read, or that it cannot be read."""
        try:
            yield from tuple(read())
        except ValueError as error:  # only a file can hold what Calico refuses
            yield self._doubt(path, str(error))

    def _doubt(self, path: str, reason: str) -> Undecided:
        return Undecided(f"{self._who}: {path}: {reason}")


def _protocols(rule: CalicoRule) -> tuple[str, ...]:
    """Return the protocols of ours that a rule is about; raises `ValueError` for names that are none."""
    wanted = PROTOCOLS if rule.protocol is None else _protocol(rule.protocol)
    unwanted = () if rule.not_protocol is None else _protocol(rule.not_protocol)
    return tuple(protocol for protocol in wanted if protocol not in unwanted)


def _protocol(named: int | str) -> tuple[str, ...]:
    text = str(named)
    if text.isdecimal():
        if not 1 <= int(text) <= _MAX_PROTOCOL:
            raise ValueError(f"unknown protocol {named}")
        return (_NUMBERS[int(text)],) if int(text) in _NUMBERS else ()
    if text.upper() in PROTOCOLS:
        return (text.upper(),)
    if text.upper() not in _OTHERS:
        raise ValueError(f"unknown protocol {named[:20] if isinstance(named, str) else named}")
    return ()


def _ports(rule: CalicoRule, destination: _Entity) -> tuple[Port, ...] | None:
    """Return the ports that a rule means; None is every port of every protocol, and none is other protocols alone."""
    protocols = _protocols(rule)
    if (destination.ports or destination.not_ports) and len(protocols) != 1:
        raise ValueError("ports without one protocol that has them")
    if not destination.ports and not destination.not_ports:
        return None if protocols == PROTOCOLS else tuple(port_span(protocol) for protocol in protocols)
    protocol = protocols[0]
    named, spans = _split(destination.ports or ((f"1:{_MAX_PORT}",)), protocol)
    _, holes = _split(destination.not_ports or (), protocol)
    return (*(left for span in merged(spans) for left in without(span, holes)), *named)


def _split(ports: Iterable[int | str], protocol: str) -> tuple[list[NamedPort], list[Span]]:
    named: list[NamedPort] = []
    spans: list[Span] = []
    for port in ports:
        found = _port_spans(port)
        if isinstance(found, str):
            named.append(NamedPort(found, protocol))
        elif found[1]:  # nothing listens on port 0
            spans.append(port_span(protocol, max(found[0], 1), found[1]))
    return named, spans


def _port_spans(port: int | str) -> tuple[int, int] | str:
    """Return the first and last number that a port means, or its name."""
    text = str(port)
    span = _RANGE.fullmatch(text)
    first, last = (int(span[1]), int(span[2])) if span else (int(text), int(text)) if text.isdecimal() else (-1, -1)
    if (first, last) == (-1, -1) and isinstance(port, str):
        return port
    if not 0 <= first <= last <= _MAX_PORT:
        raise ValueError(f"no ports: {text[:20]}")
    return first, last
