"""ValidatingAdmissionPolicies and their bindings as the API has them (admissionregistration.k8s.io/v1)."""

import msgspec

from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector

GROUP = "admissionregistration.k8s.io"
API_VERSION = f"{GROUP}/v1"
POLICY = GroupKind(GROUP, "ValidatingAdmissionPolicy")
BINDING = GroupKind(GROUP, "ValidatingAdmissionPolicyBinding")


class ResourceRule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Requests by operation and resource; `*` names everything, `*/*` subresources too."""

    operations: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] | None = None
    scope: str = "*"


class MatchResources(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which requests are judged: without resource rules all, and never those that an exclude rule names."""

    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    resource_rules: tuple[ResourceRule, ...] | None = None
    exclude_resource_rules: tuple[ResourceRule, ...] | None = None
    match_policy: str = "Equivalent"


class NamedExpression(msgspec.Struct, frozen=True):
    """A match condition or a variable."""

    name: str
    expression: str


class Validation(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An expression that must be true, and what is said if it is not."""

    expression: str
    message: str = ""
    message_expression: str = ""
    reason: str = "Invalid"


class ParamKind(msgspec.Struct, frozen=True, rename="camel"):
    """The kind of the objects that `params` can be."""

    api_version: str
    kind: str


class PolicySpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of a ValidatingAdmissionPolicy; audit annotations change no outcome and are left out."""

    match_constraints: MatchResources = MatchResources()
    validations: tuple[Validation, ...] | None = None
    variables: tuple[NamedExpression, ...] | None = None
    match_conditions: tuple[NamedExpression, ...] | None = None
    param_kind: ParamKind | None = None
    failure_policy: str = "Fail"


class PolicyBody(msgspec.Struct, frozen=True):
    """The body of a ValidatingAdmissionPolicy."""

    spec: PolicySpec = PolicySpec()


class ParamRef(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which objects are `params`: one by name, or all that a selector names."""

    name: str = ""
    namespace: str = ""
    selector: LabelSelector | None = None
    parameter_not_found_action: str = ""


class BindingSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of a ValidatingAdmissionPolicyBinding."""

    policy_name: str = ""
    param_ref: ParamRef | None = None
    match_resources: MatchResources | None = None
    validation_actions: tuple[str, ...] | None = None


class BindingBody(msgspec.Struct, frozen=True):
    """The body of a ValidatingAdmissionPolicyBinding."""

    spec: BindingSpec = BindingSpec()
