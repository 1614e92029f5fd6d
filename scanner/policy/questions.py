"""The table of questions: what a policy may `ask:`, and which kinds of objects the answer rests on.

A new question is a function in `scanner.analysis` and one line here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scanner.analysis.network import (
    admin_ports,
    classes,
    default_deny,
    doors,
    effects,
    gateways,
    internet,
    isolation,
    routes,
    services,
    tenancy,
    widened,
)
from scanner.analysis.pods import admission as pod_admission
from scanner.analysis.pods import images, places
from scanner.analysis.pods.debugging import debug_containers
from scanner.analysis.rbac import grants, log_links, parameters
from scanner.analysis.rbac.dangling import dangling_bindings
from scanner.analysis.rbac.identities import with_workloads
from scanner.analysis.rbac.idle import idle_accounts
from scanner.analysis.rbac.masters import masters_bound
from scanner.analysis.rbac.rights import subjects_who_can
from scanner.analysis.rbac.roles import feeders_of_sensitive_rights, unused_roles
from scanner.analysis.rbac.subjects import RBAC_READS, SERVICE_ACCOUNT
from scanner.analysis.readiness import (
    alerts,
    apis,
    at_rest,
    autoscaling,
    backups,
    connections,
    control_plane,
    disruption,
    hosts,
    logging,
    placement,
    resources,
    scale,
    scraping,
    serving,
    skew,
)
from scanner.analysis.secrets import certificates, hygiene, issued, literals, references, tokens, width
from scanner.model.answer import Answer
from scanner.model.refs import GroupKind
from scanner.model.workload import TEMPLATE_PATHS
from scanner.policy import audited

#: What `Snapshot.workloads` rests on.
_WORKLOADS = tuple(TEMPLATE_PATHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A pure function over a snapshot, and the kinds that it reads."""

    #: Called as `ask(snapshot, now=now, **arguments)`.
    ask: Callable[..., Iterable[Answer]]
    #: If one of these was not wholly read, a pass is not proven.
    reads: tuple[GroupKind, ...]


def _about_identities(ask: Callable[..., Iterable[Answer]], *more: GroupKind) -> Question:
    """Make a question about subjects, whose findings say what runs as them; passes don't rest on that."""
    return Question(ask=with_workloads(ask), reads=(*RBAC_READS, *more))


#: `<area>.<function>` → question; sorted by name.
QUESTIONS: Mapping[str, Question] = {
    "admission.policies_violated": Question(ask=audited.admission_policies_violated, reads=audited.READS),
    "network.admin_pages_within": Question(ask=admin_ports.admin_pages_within, reads=tenancy.READS),
    "network.admin_ports_exposed": Question(ask=admin_ports.admin_ports_exposed, reads=admin_ports.READS),
    "network.gateways_in_the_clear": Question(ask=gateways.gateways_in_the_clear, reads=gateways.READS),
    "network.gateways_not_served": Question(ask=classes.gateways_not_served, reads=classes.GATEWAY_READS),
    "network.holes_filled": Question(ask=effects.holes_filled, reads=effects.READS),
    "network.holes_that_leave_private": Question(ask=widened.holes_that_leave_private, reads=effects.READS),
    "network.ingresses_without_backend": Question(ask=services.ingresses_without_backend, reads=services.INGRESS_READS),
    "network.ingresses_without_class": Question(ask=classes.ingresses_without_class, reads=classes.INGRESS_READS),
    "network.namespaces_that_other_tenants_reach": Question(
        ask=tenancy.namespaces_that_other_tenants_reach, reads=tenancy.READS
    ),
    "network.peers_that_are_nobody": Question(ask=effects.peers_that_are_nobody, reads=effects.READS),
    "network.policies_selecting_nothing": Question(ask=isolation.policies_selecting_nothing, reads=isolation.READS),
    "network.policies_without_effect": Question(ask=effects.policies_without_effect, reads=effects.READS),
    "network.reachable_from_internet": Question(ask=internet.reachable_from_internet, reads=internet.READS),
    "network.references_not_granted": Question(ask=routes.references_not_granted, reads=routes.GRANT_READS),
    "network.routes_without_backend": Question(ask=routes.routes_without_backend, reads=routes.BACKEND_READS),
    "network.rules_widened": Question(ask=widened.rules_widened, reads=effects.READS),
    "network.services_with_unknown_ports": Question(
        ask=doors.services_with_unknown_ports, reads=services.SERVICE_READS
    ),
    "network.services_without_backend": Question(ask=services.services_without_backend, reads=services.SERVICE_READS),
    "network.system_workloads_reachable": Question(ask=tenancy.system_workloads_reachable, reads=tenancy.READS),
    "network.workloads_without_isolation": Question(
        ask=default_deny.workloads_without_isolation, reads=isolation.READS
    ),
    "pods.bare_pods": Question(ask=places.bare_pods, reads=_WORKLOADS),
    "pods.debug_containers": Question(ask=debug_containers, reads=_WORKLOADS),
    "pods.images_from_other_registries": Question(ask=images.images_from_other_registries, reads=_WORKLOADS),
    "pods.workloads_in_namespaces": Question(ask=places.workloads_in_namespaces, reads=_WORKLOADS),
    "pods.webhooks_that_fail_open": Question(
        ask=pod_admission.webhooks_that_fail_open, reads=pod_admission.WEBHOOK_KINDS
    ),
    "rbac.accounts_that_read_node_files": _about_identities(log_links.accounts_that_read_node_files, *_WORKLOADS),
    "rbac.anonymous_grants": Question(ask=grants.anonymous_grants, reads=RBAC_READS),
    "rbac.authenticated_grants": Question(ask=grants.authenticated_grants, reads=RBAC_READS),
    "rbac.dangling_bindings": Question(ask=dangling_bindings, reads=(*RBAC_READS, SERVICE_ACCOUNT)),
    "rbac.default_accounts_with_rights": _about_identities(grants.default_accounts_with_rights, SERVICE_ACCOUNT),
    "rbac.feeders_of_sensitive_rights": Question(ask=feeders_of_sensitive_rights, reads=RBAC_READS),
    "rbac.idle_accounts": Question(ask=idle_accounts, reads=(*RBAC_READS, SERVICE_ACCOUNT, *_WORKLOADS)),
    "rbac.masters_bound": Question(ask=masters_bound, reads=RBAC_READS),
    "rbac.subjects_who_can": _about_identities(subjects_who_can),
    "rbac.subjects_who_can_change_parameters": _about_identities(
        parameters.subjects_who_can_change_parameters, *parameters.READS
    ),
    "rbac.subjects_with_wildcards": _about_identities(grants.subjects_with_wildcards),
    "rbac.unused_roles": Question(ask=unused_roles, reads=RBAC_READS),
    "readiness.autoscalers_that_cannot_scale": Question(
        ask=autoscaling.autoscalers_that_cannot_scale, reads=(scale.AUTOSCALER, resources.LIMIT_RANGE, *_WORKLOADS)
    ),
    "readiness.autoscalers_against_replicas": Question(
        ask=autoscaling.autoscalers_against_replicas, reads=(scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.autoscalers_without_adapter": Question(
        ask=autoscaling.autoscalers_without_adapter, reads=(scale.AUTOSCALER, autoscaling.API_SERVICE)
    ),
    "readiness.backups_made": Question(ask=backups.backups_made, reads=()),
    "readiness.budgets_that_block_drains": Question(
        ask=disruption.budgets_that_block_drains, reads=(disruption.BUDGET, scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.component_skew": Question(ask=skew.component_skew, reads=skew.READS),
    "readiness.containers_without": Question(
        ask=resources.containers_without, reads=(resources.LIMIT_RANGE, *_WORKLOADS)
    ),
    "readiness.control_plane_flags": Question(ask=control_plane.control_plane_flags, reads=(control_plane.POD,)),
    "readiness.control_plane_seen": Question(ask=control_plane.control_plane_seen, reads=(control_plane.POD,)),
    "readiness.local_databases": Question(ask=hosts.local_databases, reads=_WORKLOADS),
    "readiness.log_collector": Question(ask=logging.log_collector, reads=(logging.DAEMON_SET,)),
    "readiness.metrics_not_scraped": Question(ask=scraping.metrics_not_scraped, reads=scraping.READS),
    "readiness.monitors_without_target": Question(ask=scraping.monitors_without_target, reads=scraping.READS),
    "readiness.overlapping_budgets": Question(
        ask=disruption.overlapping_budgets, reads=(disruption.BUDGET, *_WORKLOADS)
    ),
    "readiness.removed_apis": Question(ask=apis.removed_apis, reads=()),
    "readiness.replicas_sharing_exclusive_volume": Question(
        ask=placement.replicas_sharing_exclusive_volume, reads=(placement.CLAIM, scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.replicated_without_budget": Question(
        ask=disruption.replicated_without_budget, reads=(disruption.BUDGET, scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.replicated_without_spread": Question(
        ask=placement.replicated_without_spread, reads=(scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.resource_metrics_served": Question(
        ask=autoscaling.resource_metrics_served, reads=(scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.secrets_at_rest": Question(ask=at_rest.secrets_at_rest, reads=at_rest.READS),
    "readiness.serving_without_pause": Question(
        ask=serving.serving_without_pause, reads=(serving.SERVICE, *_WORKLOADS)
    ),
    "readiness.serving_without_priority": Question(
        ask=serving.serving_without_priority, reads=(serving.SERVICE, serving.PRIORITY_CLASS, *_WORKLOADS)
    ),
    "readiness.serving_without_readiness_probe": Question(
        ask=serving.serving_without_readiness_probe, reads=(serving.SERVICE, *_WORKLOADS)
    ),
    "readiness.shared_databases": Question(
        ask=connections.shared_databases, reads=(serving.SERVICE, scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.single_replica": Question(
        ask=serving.single_replica, reads=(serving.SERVICE, scale.AUTOSCALER, *_WORKLOADS)
    ),
    "readiness.version_skew": Question(ask=control_plane.version_skew, reads=(control_plane.NODE,)),
    "readiness.workloads_without_alert": Question(
        ask=alerts.workloads_without_alert, reads=(*alerts.READS, serving.SERVICE, *_WORKLOADS)
    ),
    "readiness.written_down_hosts": Question(
        ask=hosts.written_down_hosts, reads=(hosts.SERVICE, hosts.INGRESS, *_WORKLOADS)
    ),
    "secrets.certificates_expiring": Question(ask=certificates.certificates_expiring, reads=certificates.READS),
    "secrets.certificates_for_other_hosts": Question(
        ask=certificates.certificates_for_other_hosts, reads=certificates.READS
    ),
    "secrets.certificates_self_signed": Question(ask=certificates.certificates_self_signed, reads=certificates.READS),
    "secrets.certificates_unusable": Question(ask=certificates.certificates_unusable, reads=certificates.READS),
    "secrets.certificates_weak": Question(ask=certificates.certificates_weak, reads=certificates.READS),
    "secrets.chains_broken": Question(ask=certificates.chains_broken, reads=certificates.READS),
    "secrets.data_in_last_applied": Question(ask=references.data_in_last_applied, reads=(references.SECRET,)),
    "secrets.default_accounts": Question(ask=tokens.default_accounts, reads=tokens.READS),
    "secrets.given_wider": Question(ask=width.given_wider, reads=width.WIDTH_READS),
    "secrets.helm_histories": Question(ask=width.helm_histories, reads=(references.SECRET,)),
    "secrets.issued_expiring": Question(ask=issued.issued_expiring, reads=(issued.CERTIFICATE,)),
    "secrets.issued_not_ready": Question(ask=issued.issued_not_ready, reads=issued.READS),
    "secrets.legacy_tokens": Question(ask=references.legacy_tokens, reads=(references.SECRET,)),
    "secrets.literal_annotations": Question(
        ask=literals.literal_annotations, reads=(*literals.READS, *literals.OBJECT_READS)
    ),
    "secrets.literal_commands": Question(ask=literals.literal_commands, reads=literals.READS),
    "secrets.literal_config_maps": Question(ask=literals.literal_config_maps, reads=(literals.CONFIG_MAP,)),
    "secrets.literal_environment": Question(ask=literals.literal_environment, reads=literals.READS),
    "secrets.literal_fields": Question(ask=literals.literal_fields, reads=literals.OBJECT_READS),
    "secrets.literal_probes": Question(ask=literals.literal_probes, reads=literals.READS),
    "secrets.missing_references": Question(ask=references.missing_references, reads=references.READS),
    "secrets.mutable_secrets": Question(ask=width.mutable_secrets, reads=width.MUTABLE_READS),
    "secrets.old_secrets": Question(ask=hygiene.old_secrets, reads=(references.SECRET,)),
    "secrets.relied_on_expiring": Question(ask=certificates.relied_on_expiring, reads=certificates.RELIED_ON_READS),
    "secrets.relied_on_weak": Question(ask=certificates.relied_on_weak, reads=certificates.RELIED_ON_READS),
    "secrets.shared_secrets": Question(ask=hygiene.shared_secrets, reads=hygiene.SHARED_READS),
    "secrets.unused_secrets": Question(ask=hygiene.unused_secrets, reads=hygiene.READS),
    "secrets.useless_tokens": Question(ask=tokens.useless_tokens, reads=tokens.READS),
}
