"""Anyone's ValidatingAdmissionPolicies, as they are, on objects that exist.

Each object is judged as if it were created now: `request.operation` is CREATE, `oldObject` is null, and policies for
UPDATE or DELETE alone match nothing. `authorizer` answers by the roles and bindings of the snapshot, as
`plimsoll rbac can` does. Without a name for who asks, an expression that needs one (`request.userInfo`, `authorizer`
but for `authorizer.serviceAccount`) is unknown.

The API server also gives up on an expression that costs too much: 1,000,000 units of its own. Those are not counted
here; an expression that iterates more than 10,000 times is unknown, for it may be near or beyond that.

Objects from files lack the defaults that the API server would fill in: an expression that breaks for want of a field is
unknown there, but `has(…)` and `?.` see the field as absent. What a running API server gave has its defaults.

Source: k8s.io/apiserver/pkg/admission/plugin/policy: validating/{dispatcher,validator}.go and
generic/policy_dispatcher.go.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, assert_never

import msgspec

from scanner.analysis.rbac.answers import can
from scanner.analysis.rbac.authorizer import Verdict
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.requests import Identity
from scanner.analysis.rbac.requests import Request as Asking
from scanner.errors import PolicyError
from scanner.model.credential import MARK, names_of_withheld
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef, group_of
from scanner.model.resources import BY_KIND, SECRETS
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.policy.cel import (
    ITERATED_TOO_OFTEN,
    CelFailure,
    Expression,
    activation,
    compile_expression,
    evaluate_expression,
    is_optional,
)
from scanner.policy.judge import namespace_object
from scanner.policy.library.authorization import Asked, Ruling, answering, authorizer_for, request_resource
from scanner.policy.library.lists import OF_TIMES
from scanner.policy.matching import Request, is_exempt, matches, request_for
from scanner.policy.subjects import NAMESPACE
from scanner.policy.vap import BindingBody, BindingSpec, NamedExpression, ParamRef, PolicyBody, PolicySpec, Validation

#: Longer messages of a messageExpression are dropped: k8s.io/apiserver/pkg/apis/cel/config.go.
_MAX_MESSAGE_BYTES = 5 * 1024
#: How the engine begins when it says that a field is not there.
_MISSING_FIELD = "Key not found in map"

_STRING_LITERAL = r"'''(?:.|\n)*?'''|\"\"\"(?:.|\n)*?\"\"\"|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""


#: A name as a key of an object has it, or a part of one.
_WORD = re.compile(r"[A-Za-z_][\w-]*")
#: What an expression says if it may read more of an object than its body.
_READS_MORE = re.compile(r"\b(metadata|status|request|requestResource)\b|\b(object|authorizer)\b(?!\s*\.)")


class AdmissionResult(enum.StrEnum):
    """What a policy says of an object."""

    ALLOWED = "allowed"
    DENIED = "denied"
    #: It depends on something that an audit does not know.
    UNKNOWN = "unknown"
    #: The policy itself breaks on this object; whether that lets it through is up to `failurePolicy`.
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionOutcome:
    """The outcome of one policy under one binding for one object; several where a binding has several params."""

    policy: str
    #: Empty for a policy that no binding puts into force.
    binding: str
    resource: ObjectRef
    result: AdmissionResult
    #: What the API server would say; for unknown and error, why.
    message: str = ""
    #: The expression that decided, and where it stands in the policy, `spec.validations[0].expression`.
    expression: str = ""
    path: str = ""
    reason: str = ""
    #: `Deny`, `Warn`, `Audit` as the binding has them.
    actions: tuple[str, ...] = ()
    #: Whether an error lets the object through.
    ignores_errors: bool = False
    param: ObjectRef | None = None

    @property
    def is_refused(self) -> bool:
        """Tell whether the API server, bound to deny, would refuse to create the object."""
        broke = self.result is AdmissionResult.ERROR and not self.ignores_errors
        return self.result is AdmissionResult.DENIED or broke


def audit(  # noqa: PLR0913 - what an API server knows of a request, each by name
    policies: Iterable[KubeObject],
    bindings: Iterable[KubeObject],
    params: Iterable[KubeObject],
    snapshot: Snapshot,
    identity: Identity | None = None,
    *,
    objects: Sequence[KubeObject] | None = None,
) -> tuple[AdmissionOutcome, ...]:
    """Judge every object of a snapshot by ValidatingAdmissionPolicies under their bindings, as created by an identity.

    With `objects`, those are judged instead, as if they were created in the cluster of the snapshot.

    `params` are objects that may serve as parameters beside those of the snapshot; a kind of which neither has an
    object, nor the snapshot a whole read, is unknown. A policy without a binding is judged as if one without
    conditions bound it, with an empty `binding` and no actions. Objects that a policy does not match have no outcome.
    Sorted by policy, binding, object and param. Raises `PolicyError` for something that is no such policy or binding.
    """
    bound: dict[str, list[tuple[str, BindingSpec]]] = {}
    for binding in bindings:
        spec = _decoded(binding, BindingBody).spec
        bound.setdefault(spec.policy_name, []).append((binding.meta.name, spec))
    auditor = _Auditor(snapshot, tuple(params), identity, objects)
    found: list[AdmissionOutcome] = []
    for policy in policies:
        compiled = _Policy(policy.meta.name, _decoded(policy, PolicyBody).spec, auditor.unknown_fields)
        for name, binding_spec in bound.get(policy.meta.name) or [("", BindingSpec())]:
            found += auditor.outcomes(compiled, name, binding_spec)
    return tuple(sorted(found, key=lambda o: (o.policy, o.binding, o.resource, str(o.param or ""), o.path)))


def _decoded(thing: KubeObject, shape: type[Any]) -> Any:
    try:
        return thing.decode(shape)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{thing.origin or thing.ref}: not a {thing.kind}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Why an expression can be neither true nor false here."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Decision:
    result: AdmissionResult
    message: str = ""
    expression: str = ""
    path: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An expression of a policy, with what can be told of it before there is an object."""

    #: None if it does not compile; then `unknown` says why.
    expression: Expression | None
    #: The names in scope, and of these the variables of the policy that it reads.
    names: tuple[str, ...]
    reads: tuple[str, ...]
    #: Why its value could be wrong for any object, and for a Secret; empty if it could not.
    unknown: str
    unknown_of_secrets: str
    #: Every word outside its string literals and inside them: what it may read by name.
    words: frozenset[str]
    #: It fails for want of what is not known of a request.
    asks_who: bool
    asks_authorizer: bool
    reads_namespace: bool


class _Policy:
    """A policy and its expressions, each prepared once."""

    def __init__(self, name: str, spec: PolicySpec, unknown_fields: Sequence[str]) -> None:
        """Put together the variables in their order; these fields of a request are not known."""
        self.name = name
        self.spec = spec
        self._unknown_fields = unknown_fields
        base = ("object", "oldObject", "request", "namespaceObject", "authorizer", "authorizer.requestResource")
        self._names = (*base, "params") if spec.param_kind else base
        self._variables = spec.variables or ()
        #: Each variable and its place in the order: it may read those before it.
        self.variables = {v.name: (number, v) for number, v in enumerate(self._variables)}
        self._prepared: dict[tuple[str, int], _Prepared] = {}
        #: No expression reads what differs between objects of one body: metadata, status, the request.
        self.reads_only_body = not any(_READS_MORE.search(_without_literals(text)) for text in texts_of(spec))
        self.decided: dict[tuple[object, ...], _Decision | None] = {}

    def prepared(self, text: str, scope: int | None = None) -> _Prepared:
        """Compile an expression that may read this many of the variables, all by default."""
        count = len(self._variables) if scope is None else scope
        if (text, count) not in self._prepared:
            self._prepared[text, count] = self._prepare(text, count)
        return self._prepared[text, count]

    def asks_authorizer(self, text: str, scope: int | None = None) -> bool:
        """Tell whether an expression asks the authorizer, itself or by a variable: a messageExpression then fails."""
        prepared = self.prepared(text, scope)
        if prepared.asks_authorizer:
            return True
        read = (self.variables[name] for name in prepared.reads)
        return any(self.asks_authorizer(variable.expression, number) for number, variable in read)

    def _prepare(self, text: str, scope: int) -> _Prepared:
        variables = self._variables[:scope]
        text = self._with_optionals(text, variables)
        names = self._names_in_scope(scope)
        unknown = _unknowable(text, self._unknown_fields)
        try:
            expression = compile_expression(text, names)
        except PolicyError as error:
            expression, unknown = None, f"does not compile here: {error}"
        return _Prepared(
            expression=expression,
            names=names,
            reads=tuple(v.name for v in variables if _reference(v.name).search(text)),
            unknown=unknown,
            unknown_of_secrets=_unknowable_of_secrets(text),
            words=frozenset(_WORD.findall(text)),
            asks_who=_asks_who(text, self._unknown_fields),
            asks_authorizer="authorizer" in text,
            reads_namespace="namespaceObject" in text,
        )

    def _names_in_scope(self, scope: int) -> tuple[str, ...]:
        return (*self._names, *(f"variables.{v.name}" for v in self._variables[:scope]))

    def _with_optionals(self, text: str, variables: Sequence[NamedExpression]) -> str:
        """Write variables that are optionals out: the engine cannot take an optional back as a value."""
        for scope, variable in reversed(list(enumerate(variables))):
            pattern = re.compile(rf"({_STRING_LITERAL})|{_reference(variable.name).pattern}")
            if pattern.search(text) and _is_optional(variable, self._names_in_scope(scope)):
                text = pattern.sub(partial(_written_out, variable.expression), text)
        return text


class _Auditor:
    """Judges the objects of one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        params: Sequence[KubeObject],
        identity: Identity | None,
        objects: Sequence[KubeObject] | None,
    ) -> None:
        """Index the params; without objects, those of the snapshot are judged."""
        self._objects = objects
        self._snapshot = snapshot
        self._identity = identity
        self.unknown_fields = ("options",) if identity else ("options", "userInfo")
        self._knows_namespaces = not snapshot.inconclusive((NAMESPACE,))
        self._params = params
        self._lacks_defaults = snapshot.source is SourceKind.MANIFESTS

    def outcomes(self, policy: _Policy, binding: str, spec: BindingSpec) -> Iterator[AdmissionOutcome]:
        """Give the outcome of a policy under a binding for each object that both match."""
        for things in self._judged():
            for thing in things:
                request = request_for(thing, self._snapshot.namespaces, knows_namespaces=self._knows_namespaces)
                for param, decision in self._decisions(policy, spec, request):
                    yield AdmissionOutcome(
                        policy=policy.name,
                        binding=binding,
                        resource=thing.ref,
                        result=decision.result,
                        message=decision.message,
                        expression=decision.expression,
                        path=decision.path,
                        reason=decision.reason,
                        actions=spec.validation_actions or (),
                        ignores_errors=policy.spec.failure_policy == "Ignore",
                        param=param,
                    )

    def _judged(self) -> Iterator[Sequence[KubeObject]]:
        if self._objects is not None:
            yield self._objects
            return
        for kind in sorted(self._snapshot.objects):
            yield self._snapshot.objects[kind]

    def _decisions(
        self, policy: _Policy, binding: BindingSpec, request: Request
    ) -> Iterator[tuple[ObjectRef | None, _Decision]]:
        if is_exempt(request):
            return
        for criteria in (policy.spec.match_constraints, binding.match_resources):
            matched = True if criteria is None else matches(criteria, request)
            if matched is False:
                return
            if isinstance(matched, str):
                yield None, _Decision(AdmissionResult.UNKNOWN, matched)
                return
        params = self._params_of(policy.spec, binding.param_ref, request)
        if isinstance(params, _Decision):
            yield None, params
            return
        for param in params:
            decision = self._decision(policy, request, param)
            if decision is not None:
                yield (param.ref if param else None), decision

    def _decision(self, policy: _Policy, request: Request, param: KubeObject | None) -> _Decision | None:
        """Evaluate, once for all objects that differ in nothing that the policy reads: the pods of a template."""
        if not policy.reads_only_body:
            return self._decided_anew(policy, request, param)
        thing = request.object
        key = (thing.api_version, thing.kind, request.namespace, thing.body, param.ref if param else None)
        if key not in policy.decided:
            policy.decided[key] = self._decided_anew(policy, request, param)
        return policy.decided[key]

    def _decided_anew(self, policy: _Policy, request: Request, param: KubeObject | None) -> _Decision | None:
        values = self._values(policy, request, param)
        with answering(partial(_ruling, self._snapshot)) as asked:
            return _Evaluation(policy, values, request, asked, lacks_defaults=self._lacks_defaults).decision()

    def _values(self, policy: _Policy, request: Request, param: KubeObject | None) -> dict[str, Any]:
        """Return the variables of one evaluation; what is not known is left out, so that reading it fails."""
        who = self._identity
        values: dict[str, Any] = {
            "object": request.object.as_dict(),
            "oldObject": None,
            "request": _request(request, who),
            "authorizer": authorizer_for(who),
            "authorizer.requestResource": request_resource(who, _as_asked(request)),
        }
        if request.is_cluster_scoped:
            values["namespaceObject"] = None
        else:
            namespace = namespace_object(self._snapshot, request.namespace)
            if namespace is not None:
                values["namespaceObject"] = namespace
        if policy.spec.param_kind:
            values["params"] = param.as_dict() if param else None
        return values

    def _params_of(
        self, spec: PolicySpec, ref: ParamRef | None, request: Request
    ) -> Sequence[KubeObject | None] | _Decision:
        """Find the params that a binding refers to; None stands for "no params"."""
        if spec.param_kind is None or ref is None:
            return [None]
        kind = GroupKind(group_of(spec.param_kind.api_version), spec.param_kind.kind)
        known = {o.ref: o for o in (*self._snapshot.of(*kind), *(p for p in self._params if p.group_kind == kind))}
        if not known and self._snapshot.inconclusive((kind,)):
            return _Decision(AdmissionResult.UNKNOWN, f"no {kind} was read that could be its params")
        if kind == SECRETS.group_kind:
            return _Decision(AdmissionResult.UNKNOWN, "the contents of Secrets are never read")
        is_namespaced = BY_KIND[kind].namespaced if kind in BY_KIND else any(ref.namespace for ref in known)
        namespace = ref.namespace or (request.namespace if is_namespaced else "")
        if is_namespaced and not namespace:
            message = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            return _Decision(AdmissionResult.ERROR, f"failed to configure binding: {message}")
        here = [o for _, o in sorted(known.items()) if o.meta.namespace == namespace]
        selected = [o for o in here if (o.meta.name == ref.name if ref.name else _selects(ref, o))]
        if not selected and ref.parameter_not_found_action == "Deny":
            message = "no params found for policy binding with `Deny` parameterNotFoundAction"
            return _Decision(AdmissionResult.ERROR, f"failed to configure binding: {message}")
        return selected


def _selects(ref: ParamRef, thing: KubeObject) -> bool:
    return ref.selector is not None and ref.selector.matches(thing.meta.labels or {})


def _as_asked(request: Request) -> Asking:
    """Return a request as the authorizer has it."""
    name = request.object.meta.name
    return Asking(verb="", group=request.group, resource=request.resource, namespace=request.namespace, name=name)


def _ruling(snapshot: Snapshot, identity: Identity, asking: Asking) -> Ruling:
    """Answer as the API server's RBAC authorizer does, with its words where there is but one reason."""
    decision = can(snapshot, identity, asking)
    match decision.verdict:
        case Verdict.ALLOWED:
            reasons = {_allowed_by(chain) for chain in decision.chains} or {""}
            doubt = "several bindings allow it; which one the API server names is left to chance"
            return Ruling(True, reasons.pop() if len(reasons) == 1 else None, doubt)  # noqa: FBT003 - the verdict
        case Verdict.DENIED:
            return Ruling(False, "")  # noqa: FBT003 - the verdict
        case Verdict.UNKNOWN:
            return Ruling(None, None, f"whether {identity.user} may {asking}: {decision.reason}")
        case _:
            assert_never(decision.verdict)


def _allowed_by(chain: Chain) -> str:
    """Name a binding as the API server does (k8s.io/kubernetes/pkg/registry/rbac/validation/rule.go)."""
    binding, subject = chain.binding, chain.binding.subjects[chain.subject_index]
    where = f"/{binding.ref.namespace}" if binding.ref.namespace else ""
    of_subject = f"/{subject.namespace or binding.ref.namespace}" if subject.kind == "ServiceAccount" else ""
    role = binding.role_ref
    return (
        f'RBAC: allowed by {binding.ref.kind} "{binding.ref.name}{where}" of {role.kind} "{role.name}"'
        f' to {subject.kind} "{subject.name}{of_subject}"'
    )


def _request(request: Request, identity: Identity | None) -> dict[str, Any]:
    """Return the AdmissionRequest, less what only a real one has."""
    thing = request.object
    kind = {"group": request.group, "version": request.version, "kind": thing.kind}
    resource = {"group": request.group, "version": request.version, "resource": request.resource}
    described: dict[str, Any] = {
        "kind": kind,
        "requestKind": kind,
        "resource": resource,
        "requestResource": resource,
        "name": thing.meta.name,
        "operation": "CREATE",
        "dryRun": False,
    }
    if identity is not None:
        described["userInfo"] = {"username": identity.user, "groups": sorted(identity.groups)}
    return described | ({"namespace": request.namespace} if request.namespace else {})


@dataclass
class _Evaluation:
    """One policy on one object with one param."""

    policy: _Policy
    values: dict[str, Any]
    request: Request
    asked: Asked
    #: The object is as someone wrote it.
    lacks_defaults: bool
    #: Variables that were computed: their value is in `values`, or why there is none is here.
    failed: dict[str, CelFailure | _Unknown] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    @cached_property
    def withheld(self) -> frozenset[str]:
        """Names by which something is read that is not what it was when the object arrived."""
        thing = self.request.object
        has_marks = MARK.encode() in thing.body or any(MARK in text for text in (thing.meta.annotations or {}).values())
        judged = [self.values.get(name) for name in (("object", "oldObject", "params") if has_marks else ("params",))]
        return frozenset(name for value in judged for name in names_of_withheld(value))

    def decision(self) -> _Decision | None:
        """Return the decision of the validations; None if a match condition keeps the policy from this object."""
        is_met = self._match_conditions()
        if is_met is False or (isinstance(is_met, _Decision) and is_met.result is AdmissionResult.ERROR):
            return is_met or None
        decisions = [self._validated(i, v) for i, v in enumerate(self.policy.spec.validations or ())]
        refusing = {AdmissionResult.DENIED} if self.ignores_errors else {AdmissionResult.DENIED, AdmissionResult.ERROR}
        ranks: tuple[set[AdmissionResult], ...] = (refusing, {AdmissionResult.UNKNOWN}, {AdmissionResult.ERROR})
        decided = next((d for rank in ranks for d in decisions if d.result in rank), None)
        if decided is None:
            return _Decision(AdmissionResult.ALLOWED)
        return is_met if isinstance(is_met, _Decision) else decided

    @property
    def ignores_errors(self) -> bool:
        """Whether what breaks lets the object through."""
        return self.policy.spec.failure_policy == "Ignore"

    def _match_conditions(self) -> bool | _Decision:
        """Tell whether the conditions are met: one that is false outweighs others that break or are not known."""
        broken: list[_Decision] = []
        for index, condition in enumerate(self.policy.spec.match_conditions or ()):
            value = self._value(condition.expression)
            if value is False:
                return False
            if value is not True:
                broken.append(_undecided(value, condition.expression, f"spec.matchConditions[{index}].expression"))
        unknown = [d for d in broken if d.result is AdmissionResult.UNKNOWN]
        if unknown or not broken:
            return unknown[0] if unknown else True
        return False if self.ignores_errors else broken[0]

    def _validated(self, index: int, validation: Validation) -> _Decision:
        value = self._value(validation.expression)
        path = f"spec.validations[{index}].expression"
        if value is True:
            return _Decision(AdmissionResult.ALLOWED)
        if value is False:
            expression = validation.expression.strip()
            message = self._message(validation) or validation.message.strip() or f"failed expression: {expression}"
            return _Decision(AdmissionResult.DENIED, message, expression, path, validation.reason)
        return _undecided(value, validation.expression, path)

    def _message(self, validation: Validation) -> str:
        """Return what messageExpression gives, empty if the API server would not use it."""
        if not validation.message_expression or self.policy.asks_authorizer(validation.message_expression):
            return ""
        value = self._value(validation.message_expression)
        message = value.strip() if isinstance(value, str) else ""
        return "" if "\n" in message or len(message.encode()) > _MAX_MESSAGE_BYTES else message

    def _value(self, text: str) -> Any | CelFailure | _Unknown:
        """Evaluate an expression of the policy; its variables first, each once and only if something reads it."""
        return self._evaluated(self.policy.prepared(text))

    def _evaluated(self, prepared: _Prepared) -> Any | CelFailure | _Unknown:
        unknown = prepared.unknown
        if self.request.object.group_kind == SECRETS.group_kind:
            unknown = unknown or prepared.unknown_of_secrets
        if not unknown and (read := self.withheld & prepared.words):
            unknown = f"reads {', '.join(sorted(read))}, where a value is not kept because it is or may be a credential"
        if unknown or prepared.expression is None:
            return _Unknown(unknown)
        for name in prepared.reads:
            self._compute(name)
        self.asked.doubts.clear()
        value = evaluate_expression(prepared.expression, activation(prepared.names, self.values))
        return self._cause(prepared, value) if isinstance(value, CelFailure) else value

    def _cause(self, prepared: _Prepared, failure: CelFailure) -> CelFailure | _Unknown:
        """Say why an expression failed.

        Which of several causes the engine met first is its own business: it is unknown if one of them could be.
        """
        failed = [self.failed[name] for name in prepared.reads if name in self.failed]
        doubts = [f for f in failed if isinstance(f, _Unknown)]
        if prepared.asks_authorizer:
            doubts += [_Unknown(doubt) for doubt in self.asked.doubts]
        if failure.reason == ITERATED_TOO_OFTEN:
            doubts.append(_Unknown("iterates more than 10,000 times, which may cost more than the API server allows"))
        if OF_TIMES in failure.reason:
            doubts.append(_Unknown(OF_TIMES))
        if prepared.asks_who:
            doubts.append(_Unknown("depends on who asks, which an audit does not know"))
        if prepared.reads_namespace and "namespaceObject" not in self.values:
            doubts.append(_Unknown(f"namespace {self.request.namespace} is not known"))
        if self.lacks_defaults and failure.reason.startswith(_MISSING_FIELD):
            doubts.append(_Unknown(f"{failure.reason}, which the API server might fill in"))
        return [*doubts, *failed, failure][0]

    def _compute(self, name: str) -> None:
        if name in self.done:
            return
        self.done.add(name)
        scope, variable = self.policy.variables[name]
        value = self._evaluated(self.policy.prepared(variable.expression, scope))
        if isinstance(value, (CelFailure, _Unknown)):
            self.failed[name] = value
        else:
            self.values[f"variables.{name}"] = value


def texts_of(spec: PolicySpec) -> Iterator[str]:
    """Return every expression of a policy."""
    yield from (named.expression for named in (*(spec.variables or ()), *(spec.match_conditions or ())))
    yield from (text for v in spec.validations or () for text in (v.expression, v.message_expression))


def _reference(variable: str) -> re.Pattern[str]:
    return re.compile(rf"\bvariables\s*\.\s*{re.escape(variable)}\b")


def _written_out(expression: str, found: re.Match[str]) -> str:
    return found[1] or f"({expression})"


def _is_optional(variable: NamedExpression, names: tuple[str, ...]) -> bool:
    try:
        return is_optional(compile_expression(variable.expression, names))
    except PolicyError:
        return False


def _undecided(value: Any, expression: str, path: str) -> _Decision:
    match value:
        case _Unknown(reason):
            return _Decision(AdmissionResult.UNKNOWN, reason, expression.strip(), path)
        case CelFailure(reason):
            message = f"expression '{expression}' resulted in error: {reason}"
            return _Decision(AdmissionResult.ERROR, message, expression.strip(), path)
        case _:
            message = f"must evaluate to bool but got {type(value).__name__}"
            return _Decision(AdmissionResult.ERROR, message, expression.strip(), path)


def _without_literals(text: str) -> str:
    return re.sub(_STRING_LITERAL, "''", text)


def _unknowable(text: str, unknown_fields: Sequence[str]) -> str:
    """Say why an expression could evaluate to something wrong here, empty if it cannot.

    A field that is left out makes `request.userInfo` an error, which is what is wanted; but `has()` and optional
    access would take it for absent.
    """
    code = _without_literals(text)
    if re.search(r"\brequest\b(?!\s*\.\s*\w)", code):
        return "looks at the request as a whole, which an audit does not know"
    if any(re.search(rf"\bhas\s*\(\s*request\s*\.\s*{name}\s*\)", code) for name in unknown_fields):
        return "depends on who asks, which an audit does not know"
    return ""


def _unknowable_of_secrets(text: str) -> str:
    """Say the same of a Secret, of which only metadata, type and names of keys are kept."""
    reads_content = re.search(r"\bobject\b(?!\s*\.\s*(metadata|type)\b)", _without_literals(text))
    return "the contents of Secrets are never read" if reads_content else ""


def _asks_who(text: str, unknown_fields: Sequence[str]) -> bool:
    code = _without_literals(text)
    return any(re.search(rf"\brequest\s*\.\s*{name}\b", code) for name in unknown_fields)
