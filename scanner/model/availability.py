"""What keeps workloads available, as the API has it: autoscalers, disruption budgets, spreading, limits and claims."""

import msgspec

from scanner.model.refs import GroupKind, group_of
from scanner.model.selectors import LabelSelector

#: Amounts by resource, `{"cpu": "500m"}`; numbers where a file has them unquoted.
Quantities = dict[str, str | int | float]


class ScaleTarget(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What an autoscaler scales."""

    kind: str = ""
    name: str = ""
    api_version: str = ""

    @property
    def group_kind(self) -> GroupKind:
        """Its kind without the version."""
        return GroupKind(group_of(self.api_version), self.kind)


class MetricTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a metric is held to: `Utilization`, `Value` or `AverageValue`."""

    type: str = ""


class ResourceMetric(msgspec.Struct, frozen=True, omit_defaults=True):
    """A metric of type Resource, or (with a container) ContainerResource."""

    name: str = ""
    container: str = ""
    target: MetricTarget = MetricTarget()


class Metric(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One metric of an autoscaler; both last fields are missing for metrics that come from elsewhere."""

    #: `Resource`, `ContainerResource`, `Pods`, `Object` or `External`; empty in files that forgot it.
    type: str = ""
    resource: ResourceMetric | None = None
    container_resource: ResourceMetric | None = None


class AutoscalerSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of a HorizontalPodAutoscaler of any version."""

    scale_target_ref: ScaleTarget = ScaleTarget()
    min_replicas: int | None = None
    max_replicas: int = 1
    metrics: tuple[Metric, ...] | None = None
    #: In autoscaling/v1 alone.
    target_cpu: int | None = msgspec.field(default=None, name="targetCPUUtilizationPercentage")


class AutoscalerBody(msgspec.Struct, frozen=True):
    """The body of a HorizontalPodAutoscaler on the wire."""

    spec: AutoscalerSpec = AutoscalerSpec()


class DisruptionBudgetSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of a PodDisruptionBudget; a missing selector selects nothing, an empty one its whole namespace."""

    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class DisruptionBudgetBody(msgspec.Struct, frozen=True):
    """The body of a PodDisruptionBudget on the wire."""

    spec: DisruptionBudgetSpec = DisruptionBudgetSpec()


class SpreadTerm(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A topology spread constraint, or a term of pod anti-affinity; without a selector it selects no pods."""

    topology_key: str = ""
    label_selector: LabelSelector | None = None


class WeightedTerm(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A term of pod anti-affinity that is preferred."""

    pod_affinity_term: SpreadTerm = SpreadTerm()


class PodAntiAffinity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Pods that a pod stays away from."""

    required: tuple[SpreadTerm, ...] | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WeightedTerm, ...] | None = msgspec.field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The part of a pod's affinity that spreads it."""

    pod_anti_affinity: PodAntiAffinity = PodAntiAffinity()


class LimitRangeItem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a LimitRange gives to and asks of one type of thing."""

    type: str = ""
    default: Quantities | None = None
    default_request: Quantities | None = None
    max: Quantities | None = None
    min: Quantities | None = None


class LimitRangeSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """The spec of a LimitRange."""

    limits: tuple[LimitRangeItem, ...] | None = None


class LimitRangeBody(msgspec.Struct, frozen=True):
    """The body of a LimitRange on the wire."""

    spec: LimitRangeSpec = LimitRangeSpec()


class PriorityClassBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The body of a PriorityClass on the wire."""

    #: Whether pods that name no class get this one.
    global_default: bool = False


class ClaimSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of a PersistentVolumeClaim."""

    access_modes: tuple[str, ...] | None = None


class ClaimBody(msgspec.Struct, frozen=True):
    """The body of a PersistentVolumeClaim on the wire."""

    spec: ClaimSpec = ClaimSpec()
