"""Who reaches each Secret, and how: by the API's own answer, from inside a pod, or by acting as somebody who can.

A subject stands for what bindings name: a group for its members. Who may do everything in the cluster, gives itself
everything, or acts as one who may, is named once and for all Secrets (`everything`). What belongs to attack paths at
large is not followed: signing certificates, webhooks that see Secrets being written, breaking out of a container.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from scanner.analysis.paths.secret_rights import DIRECT, INSIDE_POD, Grip, Means, Rights, rights_of
from scanner.analysis.paths.secret_world import KnownSecret, Run, SecretWorld, secret_world
from scanner.analysis.rbac.aggregation import sources_of
from scanner.analysis.rbac.answers import missing_in
from scanner.analysis.rbac.authorizer import subject_key
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.requests import AUTHENTICATED, MASTERS, SERVICE_ACCOUNTS, UNAUTHENTICATED
from scanner.analysis.rbac.subjects import expectation, gives_everything
from scanner.model.rbac import RBAC_GROUP, Role, Subject
from scanner.model.secret import SecretRef, SecretUse
from scanner.model.snapshot import Snapshot

_MASTERS = Subject("Group", MASTERS, "", RBAC_GROUP)
_IN_NAMESPACE = f"{SERVICE_ACCOUNTS}:"
#: Whoever acts as a member of these gains nothing that it had not.
_EVERYONE = frozenset({AUTHENTICATED, UNAUTHENTICATED})

_DONE = {
    Means.GET: "gets it",
    Means.LIST: "lists it",
    Means.WATCH: "watches it",
    Means.PATCH: "patches it; the answer holds it",
    Means.DELETE_COLLECTION: "deletes collections; the answer holds it",
    Means.RUN_POD: "runs a pod that mounts it",
    Means.EXEC: "runs commands in",
    Means.ATTACH: "attaches to",
    Means.DEBUG: "adds a debug container to",
    Means.CHANGE_IMAGE: "changes the image of",
    Means.PORT_FORWARD: "reaches every port of",
    Means.NODE_PROXY: "runs commands through the kubelet in",
    Means.TOKEN_SECRET: "creates a Secret with a token for, and reads it back,",
    Means.TOKEN: "makes a token for",
    Means.IMPERSONATE: "impersonates",
    Means.IMPERSONATE_USER: "impersonates",
    Means.IMPERSONATE_GROUP: "impersonates a member of",
    Means.BIND: "binds itself to any ClusterRole",
    Means.BIND_IN_NAMESPACE: "binds itself to any Role",
    Means.ESCALATE: "writes any right into its own role",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a route: who does what, and the chains that let it."""

    subject: Subject
    means: Means
    text: str
    chains: tuple[Chain, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to a Secret; the first step's subject is whose way it is, the last step reaches it."""

    means: Means
    steps: tuple[Step, ...]
    #: Whether the last right is limited to this Secret, or what uses it, by name.
    is_named: bool = False
    #: How many more chains give the same.
    others: int = 0
    #: What may stand in the way, or is needed besides.
    doubts: tuple[str, ...] = ()

    @property
    def is_direct(self) -> bool:
        """Tell whether the API server itself answers with the Secret."""
        return len(self.steps) == 1 and self.means in DIRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Somebody who reaches a Secret; the shortest route first."""

    subject: Subject
    routes: tuple[Route, ...]
    #: Why it is as it should be: Kubernetes' own grant, unchanged; empty otherwise.
    expected: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretAccess:
    """Everyone who reaches one Secret."""

    secret: KnownSecret
    #: Sorted: direct ones first, then by the length of the route and by name.
    reaches: tuple[Reach, ...]
    #: Nodes whose kubelets may read it, since a pod that uses it runs there, with what that is.
    kubelets: Mapping[str, tuple[str, ...]]
    #: What was not read: there may be more.
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretCount:
    """How many reach a Secret, beside those who reach all."""

    secret: KnownSecret
    consumers: int
    direct: int
    indirect: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectCount:
    """How many of the known Secrets a subject reaches."""

    subject: Subject
    direct: int
    indirect: int


#: How someone gives itself rights: by which means, in words, and the chains that let it.
_Made = tuple[Means, str, tuple[Chain, ...]]


@dataclass(frozen=True, slots=True)
class _Hop:
    """How a subject comes to act as another."""

    grip: Grip
    means: Means
    target: Subject
    through: str = ""
    #: The chain of a second right that it takes.
    also: tuple[Chain, ...] = ()


class SecretPaths:
    """Answers who reaches which Secret, over one snapshot of roles and bindings, and one world of Secrets."""

    def __init__(self, snapshot: Snapshot, world: SecretWorld) -> None:
        """Take roles and bindings from a snapshot; what it says of Secrets is not looked at."""
        self.world = world
        self._snapshot = snapshot
        self._rights: Rights = rights_of(snapshot)

    # Indexes over the world

    @cached_property
    def by_name(self) -> Mapping[SecretRef, KnownSecret]:
        """The known Secrets."""
        return {secret.ref: secret for secret in self.world.secrets}

    @cached_property
    def consumers(self) -> Mapping[SecretRef, int]:
        """How many objects use each Secret."""
        users: defaultdict[SecretRef, set[tuple[str, str, str]]] = defaultdict(set)
        for use in self.world.uses:
            users[use.secret].add((use.user.kind, use.user.namespace, use.user.name))
        return {secret: len(found) for secret, found in users.items()}

    @cached_property
    def uses(self) -> Mapping[SecretRef, tuple[SecretUse, ...]]:
        """What uses each Secret, in order."""
        found: defaultdict[SecretRef, list[SecretUse]] = defaultdict(list)
        for use in self.world.uses:
            found[use.secret].append(use)
        return {secret: tuple(uses) for secret, uses in found.items()}

    @cached_property
    def _runs_with(self) -> Mapping[SecretRef, tuple[Run, ...]]:
        found: defaultdict[SecretRef, list[Run]] = defaultdict(list)
        for run in self.world.runs:
            for name in run.secrets:
                found[SecretRef(run.workload.namespace, name)].append(run)
        return {secret: tuple(runs) for secret, runs in found.items()}

    @cached_property
    def _runs_as(self) -> Mapping[tuple[str, str], tuple[Run, ...]]:
        """Workloads with pods that carry a service account's token."""
        found: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
        for run in self.world.runs:
            if run.carries_token and run.is_running:
                found[run.workload.namespace, run.account].append(run)
        return {account: tuple(runs) for account, runs in found.items()}

    # Who reaches all of them

    @cached_property
    def everything(self) -> Mapping[Subject, Route]:
        """Who may do everything in the cluster, gives itself every right, or acts as one of these; with how."""
        first = dict(self._masters())
        found = dict(first)
        for subject, hop in self._acting_as(first).items():
            if subject not in found:
                found[subject] = self._followed(subject, hop, found)
        return {subject: self._with_feeders(found[subject]) for subject in sorted(found, key=subject_key)}

    def _masters(self) -> Iterator[tuple[Subject, Route]]:
        for subject, chain in self._rights.masters.items():
            yield subject, _route(subject, Means.GET, "may do everything", (chain,) if chain else ())
        for subject, (means, text, chains) in self._self_made("").items():
            yield subject, _route(subject, means, f"{text} in the whole cluster", chains)
        able = {g.subject for m in (Means.IMPERSONATE_USER, Means.IMPERSONATE) for g in self._all(m)}
        for grip in self._rights.held(Means.IMPERSONATE_GROUP).on("", (MASTERS,)):
            if grip.subject in able:
                text = f"{_DONE[Means.IMPERSONATE_GROUP]} {_MASTERS}"
                yield grip.subject, _route(grip.subject, Means.IMPERSONATE_GROUP, text, (grip.chain,))

    def _all(self, means: Means) -> Iterator[Grip]:
        held = self._rights.held(means)
        for found in (*held.unnamed.values(), *held.named.values()):
            yield from found

    @cached_property
    def _almighty_roles(self) -> tuple[str, ...]:
        roles = self._rights.index.roles
        return tuple(
            name for (kind, _, name), role in roles.items() if kind == "ClusterRole" and gives_everything(role)
        )

    def _self_made(self, namespace: str) -> Mapping[Subject, _Made]:
        """Return who gives itself any right in a namespace, or in the whole cluster if empty: by two rights at once."""
        found: dict[Subject, _Made] = {}
        pairs = [(Means.BIND, Means.WRITE_BINDINGS, self._almighty_roles), (Means.ESCALATE, Means.WRITE_ROLES, ())]
        if namespace:
            pairs.append((Means.BIND_IN_NAMESPACE, Means.WRITE_BINDINGS, ()))
        for means, writing, names in pairs:
            writes = {g.subject: g.chain for g in self._rights.held(writing).on(namespace)}
            for grip in self._rights.held(means).on(namespace, names):
                if grip.subject in writes and grip.subject not in found:
                    found[grip.subject] = (means, _DONE[means], (grip.chain, writes[grip.subject]))
        for scope in dict.fromkeys(("", namespace)):
            for subject, made in self._rewriting.get(scope, {}).items():
                found.setdefault(subject, made)
        return found

    @cached_property
    def _rewriting(self) -> Mapping[str, Mapping[Subject, _Made]]:
        """Return, by scope, who may write any right into one ClusterRole that it is bound to, or that feeds such a one.

        Who may do so with every ClusterRole is found without this.
        """
        escalating, writing = self._rights.held(Means.ESCALATE), self._rights.held(Means.WRITE_ROLES)
        found: defaultdict[str, dict[Subject, _Made]] = defaultdict(dict)
        for name in sorted({name for held in (escalating, writing) for scope, name in held.named if not scope}):
            writers = {g.subject: g.chain for g in writing.on("", (name,)) if g.request.resource == "clusterroles"}
            able = [g for g in escalating.on("", (name,)) if g.request.resource == "clusterroles"]
            for role in self._widened_by(name):
                own = "" if role == name else f", which feeds ClusterRole {role}"
                for scope, bounds in self._rights.index.by_role.get(("ClusterRole", "", role), {}).items():
                    holders = {bound.subject for bound in bounds}
                    for grip in able:
                        if grip.subject in writers and grip.subject in holders:
                            text = f"writes any right into ClusterRole {name}{own}"
                            made = (Means.ESCALATE, text, (grip.chain, writers[grip.subject]))
                            found[scope].setdefault(grip.subject, made)
        return found

    def _widened_by(self, name: str) -> Iterator[str]:
        """Yield the ClusterRoles that have what is written into one: itself, and those that it feeds."""
        yield name
        yield from (fed for fed, sources in self._sources.items() if any(s.meta.name == name for s in sources))

    @cached_property
    def _sources(self) -> Mapping[str, tuple[Role, ...]]:
        """The ClusterRoles that each aggregated one takes its rules from."""
        roles = [role for (kind, _, _), role in self._rights.index.roles.items() if kind == "ClusterRole"]
        return {role.meta.name: sources_of(role, roles) for role in roles if role.aggregation}

    def fed(self, chain: Chain) -> tuple[str, ...]:
        """Name the ClusterRoles from which an aggregated one has the rule of a chain; none where it is its own."""
        sources = self._sources.get(chain.role.meta.name, ()) if chain.role.ref.kind == "ClusterRole" else ()
        return tuple(source.meta.name for source in sources if chain.rule in source.rules)

    # One Secret

    def access(self, secret: KnownSecret) -> SecretAccess:
        """Return everyone who reaches one Secret, beside those who reach all."""
        routes = self._routes(secret)
        known = {subject: found[0] for subject, found in routes.items()}
        for subject, hop in self._acting_as(routes).items():
            known[subject] = self._followed(subject, hop, known)
            if subject not in self.everything:
                routes[subject] = [known[subject]]
        reaches = [self._reach(subject, found) for subject, found in routes.items()]
        return SecretAccess(
            secret=secret,
            reaches=tuple(sorted(reaches, key=_reach_key)),
            kubelets=self._kubelets(secret),
            missing=self.missing(secret.namespace),
        )

    def missing(self, namespace: str) -> tuple[str, ...]:
        """Name what was not read and may let somebody at a namespace's Secrets."""
        reads = {r.missing for r in self.world.coverage if r.namespace in {"", namespace} and not r.is_conclusive}
        return tuple(sorted({*missing_in(self._snapshot, namespace), *reads} - {"list secrets"}))

    @cached_property
    def all_missing(self) -> tuple[str, ...]:
        """Name what was not read and may tell of more Secrets, or of more who reach them."""
        reads = {read.missing for read in self.world.coverage if not read.is_conclusive}
        places = ("", *self._by_namespace)
        return tuple(sorted(reads.union(*(missing_in(self._snapshot, place) for place in places))))

    def _reach(self, subject: Subject, routes: list[Route]) -> Reach:
        ordered = tuple(self._with_feeders(route) for route in sorted(routes, key=_route_key))
        chains = [chain for route in ordered for step in route.steps for chain in step.chains]
        return Reach(subject=subject, routes=ordered, expected=expectation(self._snapshot, chains) if chains else "")

    def _with_feeders(self, route: Route) -> Route:
        """Say in each step from which ClusterRole an aggregated one has the rule: that is where to change it."""
        fed = [sorted({name for chain in step.chains for name in self.fed(chain)}) for step in route.steps]
        if not any(fed):
            return route
        steps = (
            replace(step, text=f"{step.text}, by a rule of ClusterRole {' and '.join(names)}") if names else step
            for step, names in zip(route.steps, fed, strict=True)
        )
        return replace(route, steps=tuple(steps))

    def _routes(self, secret: KnownSecret) -> dict[Subject, list[Route]]:
        """Return the routes of one step: the API's answers, new pods, pods that have it, rights given to oneself."""
        grips: dict[tuple[Subject, Means], list[tuple[Grip, str]]] = {}
        for means, grip, text in self._first_steps(secret):
            grips.setdefault((grip.subject, means), []).append((grip, text))
        routes: dict[Subject, list[Route]] = {}
        for (subject, means), found in grips.items():
            grip, text = found[0]
            routes.setdefault(subject, []).append(
                Route(
                    means=means,
                    steps=(Step(subject=subject, means=means, text=text, chains=(grip.chain,)),),
                    is_named=bool(grip.chain.rule.resource_names),
                    others=len({g.chain.sort_key for g, _ in found}) - 1,
                    doubts=self._doubts(means, secret.namespace),
                )
            )
        for subject, (means, text, chains) in self._self_made(secret.namespace).items():
            if subject not in self._rights.masters:
                route = _route(subject, means, f"{text} in {secret.namespace}", chains)
                routes.setdefault(subject, []).append(route)
        return routes

    def _doubts(self, means: Means, namespace: str) -> tuple[str, ...]:
        match means:
            case Means.RUN_POD:
                return self.world.admission.get(namespace, ())
            case Means.PORT_FORWARD:
                return ("it takes a port that gives the value away",)
            case _:
                return ()

    def _first_steps(self, secret: KnownSecret) -> Iterator[tuple[Means, Grip, str]]:
        namespace = secret.namespace
        for means in DIRECT:
            for grip in self._rights.held(means).on(namespace, (secret.name,)):
                yield means, grip, _DONE[means]
        for grip in self._rights.held(Means.RUN_POD).on(namespace):
            yield Means.RUN_POD, grip, _DONE[Means.RUN_POD]
        for grip in self._limited(Means.RUN_POD, namespace):
            yield Means.RUN_POD, grip, f"changes what {grip.request.resource} that it may write run, to mount it"
        running = [run for run in self._runs_with.get(secret.ref, ()) if run.is_running]
        for means in (*INSIDE_POD, Means.PORT_FORWARD, Means.NODE_PROXY):
            for grip, text in self._into(means, namespace, running):
                yield means, grip, text

    def _limited(self, means: Means, namespace: str) -> Iterator[Grip]:
        """Yield who may change single workloads by name; each yields a pod with any Secret of the namespace."""
        for scope in ("", namespace):
            yield from self._limited_by_scope.get((means, scope), ())

    @cached_property
    def _limited_by_scope(self) -> Mapping[tuple[Means, str], tuple[Grip, ...]]:
        found: defaultdict[tuple[Means, str], list[Grip]] = defaultdict(list)
        for (scope, _), grips in self._rights.held(Means.RUN_POD).named.items():
            found[Means.RUN_POD, scope] += grips
        return {key: tuple(grips) for key, grips in found.items()}

    def _into(self, means: Means, namespace: str, runs: Iterable[Run]) -> Iterator[tuple[Grip, str]]:
        """Yield who comes into pods of these workloads of a namespace by a means."""
        listed = list(runs)
        if not listed:
            return
        held = self._rights.held(means)
        place = "" if means is Means.NODE_PROXY else namespace
        text = f"{_DONE[means]} a pod of {_named(listed)}"
        for grip in held.on(place):
            yield grip, text
        if held.named:
            for run in listed:
                for name in run.nodes if means is Means.NODE_PROXY else run.pods:
                    for scope in {"", place}:
                        for grip in held.named.get((scope, name), ()):
                            yield grip, f"{_DONE[means]} a pod of {run.workload}"

    def _kubelets(self, secret: KnownSecret) -> Mapping[str, tuple[str, ...]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for run in self._runs_with.get(secret.ref, ()):
            for node in run.nodes:
                found[node].append(str(run.workload))
        return {node: tuple(found[node]) for node in sorted(found)}

    # Acting as somebody else

    def _acting_as(self, targets: Iterable[Subject]) -> dict[Subject, _Hop]:
        """Return everybody who can act as one of these, or as one who can, with the first hop of a shortest way."""
        seen = set(targets)
        queue = deque(sorted(seen, key=subject_key))
        done: set[tuple[Means, str]] = set()
        found: dict[Subject, _Hop] = {}
        while queue:
            for hop in self._actors(queue.popleft(), done):
                subject = hop.grip.subject
                if subject not in seen:
                    seen.add(subject)
                    found[subject] = hop
                    queue.append(subject)
        return found

    def _actors(self, target: Subject, done: set[tuple[Means, str]]) -> Iterator[_Hop]:
        """Yield who can act as a subject; who can act as all of a namespace, only the first time that it comes up."""
        if target.kind == "ServiceAccount":
            yield from self._as_account(target, target.namespace, target.name, done)
        elif target.kind == "User":
            for grip in self._rights.held(Means.IMPERSONATE_USER).on("", (target.name,)):
                yield _Hop(grip, Means.IMPERSONATE_USER, target)
        elif target.name.startswith(_IN_NAMESPACE):
            yield from self._as_any_account(target, (target.name.removeprefix(_IN_NAMESPACE),), done)
        elif target.name == SERVICE_ACCOUNTS:
            yield from self._as_any_account(target, self._namespaces, done)
        elif target.name not in _EVERYONE:
            able = self._impersonators
            for grip in self._rights.held(Means.IMPERSONATE_GROUP).on("", (target.name,)):
                if grip.subject in able:
                    yield _Hop(grip, Means.IMPERSONATE_GROUP, target)

    @cached_property
    def _impersonators(self) -> frozenset[Subject]:
        """Who may impersonate some user, without which nobody impersonates a group."""
        return frozenset(g.subject for m in (Means.IMPERSONATE_USER, Means.IMPERSONATE) for g in self._all(m))

    @cached_property
    def _namespaces(self) -> tuple[str, ...]:
        runs = {run.workload.namespace for run in self.world.runs}
        secrets = {secret.namespace for secret in self.world.secrets}
        return tuple(sorted(runs | secrets))

    def _as_account(self, target: Subject, namespace: str, name: str, done: set[tuple[Means, str]]) -> Iterator[_Hop]:
        for means in (Means.TOKEN, Means.IMPERSONATE, Means.RUN_POD):
            yield from self._of_all(means, target, namespace, done)
        yield from self._by_token_secret(target, namespace, done)
        for means in (Means.TOKEN, Means.IMPERSONATE):
            held = self._rights.held(means)
            for scope in ("", namespace):
                for grip in held.named.get((scope, name), ()):
                    yield _Hop(grip, means, target)
        runs = self._runs_as.get((namespace, name), ())
        for means in (*INSIDE_POD, Means.NODE_PROXY):
            for grip, text in self._into(means, namespace, runs):
                yield _Hop(grip, means, target, text)

    def _as_any_account(
        self, target: Subject, namespaces: Iterable[str], done: set[tuple[Means, str]]
    ) -> Iterator[_Hop]:
        for namespace in namespaces:
            yield from self._by_token_secret(target, namespace, done)
            for means in (Means.TOKEN, Means.IMPERSONATE, Means.RUN_POD):
                yield from self._of_all(means, target, namespace, done)
                for (scope, _), grips in self._rights.held(means).named.items():
                    if scope in {"", namespace}:
                        yield from (_Hop(grip, means, target) for grip in grips)

    def _by_token_secret(self, target: Subject, namespace: str, done: set[tuple[Means, str]]) -> Iterator[_Hop]:
        """Yield who creates Secrets in a namespace and reads one there: tokens of all its accounts are theirs."""
        for scope in ("", namespace):
            if (Means.TOKEN_SECRET, scope) not in done:
                done.add((Means.TOKEN_SECRET, scope))
                for grip in self._rights.held(Means.WRITE_SECRETS).on(scope):
                    if read := self._reading(scope).get(grip.subject):
                        yield _Hop(grip, Means.TOKEN_SECRET, target, also=(read,))

    @cached_property
    def _readers(self) -> Mapping[str, Mapping[Subject, Chain]]:
        """Who is answered with some Secret, of any name or of one, by scope."""
        found: defaultdict[str, dict[Subject, Chain]] = defaultdict(dict)
        for means in DIRECT:
            held = self._rights.held(means)
            for scope, grips in (*held.unnamed.items(), *((scope, grips) for (scope, _), grips in held.named.items())):
                for grip in grips:
                    found[scope].setdefault(grip.subject, grip.chain)
        return found

    def _reading(self, scope: str) -> Mapping[Subject, Chain]:
        everywhere = self._readers.get("", {})
        return {**everywhere, **self._readers.get(scope, {})} if scope else everywhere

    def _of_all(self, means: Means, target: Subject, namespace: str, done: set[tuple[Means, str]]) -> Iterator[_Hop]:
        held = self._rights.held(means)
        for scope in ("", namespace):
            if (means, scope) not in done:
                done.add((means, scope))
                for grip in (*held.unnamed.get(scope, ()), *self._limited_by_scope.get((means, scope), ())):
                    yield _Hop(grip, means, target)

    def _followed(self, subject: Subject, hop: _Hop, known: Mapping[Subject, Route]) -> Route:
        """Return the route that begins with a hop; the target's own route is among those known already."""
        rest = known.get(hop.target) or _route(hop.target, Means.GET, "reaches it", ())
        text = hop.through or f"{_DONE[hop.means]} {hop.target}"
        if hop.means is Means.RUN_POD:
            text = f"runs a pod as {hop.target}"
        elif hop.through:
            text = f"{hop.through}, which carries the token of {hop.target}"
        step = Step(subject=subject, means=hop.means, text=text, chains=(hop.grip.chain, *hop.also))
        return Route(means=hop.means, steps=(step, *rest.steps), is_named=rest.is_named, doubts=rest.doubts)

    # All of them

    @cached_property
    def _by_namespace(self) -> Mapping[str, tuple[KnownSecret, ...]]:
        found: defaultdict[str, list[KnownSecret]] = defaultdict(list)
        for secret in self.world.secrets:
            found[secret.namespace].append(secret)
        return {namespace: tuple(secrets) for namespace, secrets in found.items()}

    @cached_property
    def counts(self) -> tuple[tuple[SecretCount, ...], tuple[SubjectCount, ...]]:
        """Count who reaches each Secret, and how many each subject reaches, beside those who reach all.

        Secrets of a namespace that no rule names and no pod uses are judged together.
        """
        rows: list[SecretCount] = []
        direct_of: defaultdict[Subject, int] = defaultdict(int)
        all_of: defaultdict[Subject, int] = defaultdict(int)
        for secrets in self._by_namespace.values():
            for (direct, every), group in self._groups(secrets).items():
                for subject in direct:
                    direct_of[subject] += len(group)
                for subject in every:
                    all_of[subject] += len(group)
                rows += (
                    SecretCount(
                        secret=secret,
                        consumers=self.consumers.get(secret.ref, 0),
                        direct=len(direct),
                        indirect=len(every) - len(direct),
                    )
                    for secret in group
                )
        subjects = (
            SubjectCount(subject=s, direct=direct_of.get(s, 0), indirect=n - direct_of.get(s, 0))
            for s, n in all_of.items()
        )
        return (
            tuple(sorted(rows, key=lambda row: row.secret)),
            tuple(sorted(subjects, key=lambda row: (-row.direct, -row.indirect, subject_key(row.subject)))),
        )

    def _groups(
        self, secrets: Iterable[KnownSecret]
    ) -> Mapping[tuple[frozenset[Subject], frozenset[Subject]], list[KnownSecret]]:
        """Group Secrets of one namespace by who reaches them directly, and at all."""
        found: dict[tuple[frozenset[Subject], frozenset[Subject]], list[KnownSecret]] = {}
        known: dict[tuple[str, tuple[str, ...]], tuple[frozenset[Subject], frozenset[Subject]]] = {}
        for secret in secrets:
            runs = tuple(sorted(str(r.workload) for r in self._runs_with.get(secret.ref, ()) if r.is_running))
            is_named = any(
                (scope, secret.name) in self._rights.held(means).named
                for means in DIRECT
                for scope in ("", secret.namespace)
            )
            # What rules name, pods or nodes, differs by workload; without such rules any running user is like another.
            key = (secret.name if is_named else "", runs if self._names_pods else runs[:1] and ("any",))
            if key not in known:
                known[key] = self._reached_by(secret)
            found.setdefault(known[key], []).append(secret)
        return found

    @cached_property
    def _names_pods(self) -> bool:
        return any(self._rights.held(means).named for means in (*INSIDE_POD, Means.PORT_FORWARD, Means.NODE_PROXY))

    def _reached_by(self, secret: KnownSecret) -> tuple[frozenset[Subject], frozenset[Subject]]:
        steps = list(self._first_steps(secret))
        direct = frozenset(grip.subject for means, grip, _ in steps if means in DIRECT)
        first = {grip.subject for _, grip, _ in steps} | (
            self._self_made(secret.namespace).keys() - self._rights.masters.keys()
        )
        further = self._acting_as(first).keys() - self.everything.keys()
        return direct, frozenset(first | further)


def _route(subject: Subject, means: Means, text: str, chains: tuple[Chain, ...]) -> Route:
    return Route(means=means, steps=(Step(subject=subject, means=means, text=text, chains=chains),))


def _named(runs: list[Run]) -> str:
    more = len(runs) - 1
    return f"{runs[0].workload}" + (f" or {more} more" if more else "")


_ORDER = {means: number for number, means in enumerate(Means)}


def _route_key(route: Route) -> tuple[int, bool, int]:
    return (len(route.steps), not route.is_direct, _ORDER[route.means])


def _reach_key(reach: Reach) -> tuple[tuple[int, bool, int], tuple[str, str, str]]:
    return (_route_key(reach.routes[0]), subject_key(reach.subject))


def secret_paths(snapshot: Snapshot) -> SecretPaths:
    """Return who reaches which Secret of a whole snapshot; made once."""
    return snapshot.derive(_secret_paths)


def _secret_paths(snapshot: Snapshot) -> SecretPaths:
    return SecretPaths(snapshot, secret_world(snapshot))
