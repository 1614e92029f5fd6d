"""Pods and what makes them: run, change, enter, read, place and stop them; and operators that do as they are told."""

from scanner.model.policy import Severity
from tests.builders import container, rule
from tests.conformance.primitives.execute import NS, Gain, Grant, NearMiss, Primitive, call, everywhere, may, within
from tests.conformance.primitives.objects import APPS, BATCH, CORE, pod, reach, thing, workload

#: Someone whose rights the attacker is after.
POWERFUL = (thing("ServiceAccount", "powerful", namespace=NS), thing("Secret", "database", namespace=NS))
RUN_AS = call("POST", f"{CORE}/pods", pod("taken", serviceAccountName="powerful"), dry_run=True)
WEB = pod("web")
LOG_WRITER = pod(
    "web",
    containers=[container(volumeMounts=[{"name": "logs", "mountPath": "/host/logs"}])],
    volumes=[{"name": "logs", "hostPath": {"path": "/var/log"}}],
)
NODE = thing("Node", f"{NS}-node")
NODES = "/api/v1/nodes"
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
}
#: Kinds that make pods: plural, group and the collection.
MAKERS = (
    ("Deployment", "deployments", "apps", APPS),
    ("StatefulSet", "statefulsets", "apps", APPS),
    ("DaemonSet", "daemonsets", "apps", APPS),
    ("ReplicaSet", "replicasets", "apps", APPS),
    ("ReplicationController", "replicationcontrollers", "", CORE),
    ("Job", "jobs", "batch", BATCH),
    ("CronJob", "cronjobs", "batch", BATCH),
)
#: Operators, the kinds that they act on, and the API group of each.
OPERATORS = {
    "Flux": (
        ("kustomizations", "kustomize.toolkit.fluxcd.io"),
        ("helmreleases", "helm.toolkit.fluxcd.io"),
        ("gitrepositories", "source.toolkit.fluxcd.io"),
    ),
    "Argo CD": (("applications", "argoproj.io"), ("applicationsets", "argoproj.io")),
    "Argo Workflows": (("workflows", "argoproj.io"),),
    "Tekton": (("pipelineruns", "tekton.dev"), ("taskruns", "tekton.dev")),
    "cert-manager": (("certificates", "cert-manager.io"),),
    "External Secrets Operator": (("externalsecrets", "external-secrets.io"),),
    "Velero": (("restores", "velero.io"),),
    "the Prometheus operator": (("servicemonitors", "monitoring.coreos.com"),),
    "Crossplane": (("providers", "pkg.crossplane.io"),),
    "KubeVirt": (("virtualmachines", "kubevirt.io"),),
    "Karpenter": (("ec2nodeclasses", "karpenter.k8s.aws"),),
    "the Operator Lifecycle Manager": (("subscriptions", "operators.coreos.com"),),
    "K3s": (("helmcharts", "helm.cattle.io"),),
}

PRIMITIVES = (
    Primitive(
        rows="35",
        name="create pods in a namespace",
        policy="rbac/create-workloads",
        gains=Gain.NAMESPACE,
        severity=Severity.MEDIUM,
        given=(within(rule("create", "pods")),),
        attempt=(RUN_AS,),
        world=POWERFUL,
        near_misses=(
            NearMiss(why="create is not restricted by names", given=(within(rule("create", "pods", names="taken")),)),
            NearMiss(why="a subresource alone", given=(within(rule("create", "pods/exec pods/*")),)),
            NearMiss(why="pods of another group", given=(within(rule("create", "pods", group="metrics.k8s.io")),)),
            NearMiss(why="templates, which nothing runs", given=(within(rule("create update patch", "podtemplates")),)),
        ),
    ),
    Primitive(
        rows="35",
        name="create pods everywhere",
        policy="rbac/create-workloads",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.HIGH,
        given=(everywhere(rule("create", "pods")),),
        attempt=(RUN_AS, may("create", "pods", namespace="kube-system")),
        world=POWERFUL,
        near_misses=(NearMiss(why="reading them", given=(everywhere(rule("get list watch", "pods", group="")),)),),
    ),
    *(
        Primitive(
            rows="36",
            name=f"create {plural}",
            policy="rbac/create-workloads",
            gains=Gain.NAMESPACE,
            severity=Severity.MEDIUM,
            given=(within(rule("create", plural, group=group)),),
            attempt=(
                call("POST", f"{path}/{plural}", workload(kind, "taken", serviceAccountName="powerful"), dry_run=True),
            ),
            world=POWERFUL,
            near_misses=(
                NearMiss(why="the kind in another group", given=(within(rule("create", plural, group="extensions")),)),
            ),
        )
        for kind, plural, group, path in MAKERS
    ),
    Primitive(
        rows="36",
        name="patch deployments",
        policy="rbac/create-workloads",
        gains=Gain.NAMESPACE,
        severity=Severity.MEDIUM,
        given=(within(rule("patch", "deployments", group="apps")),),
        attempt=(
            call(
                "PATCH",
                f"{APPS}/deployments/web",
                {"spec": {"template": {"spec": {"serviceAccountName": "powerful"}}}},
            ),
        ),
        world=(*POWERFUL, workload("Deployment", "web")),
        near_misses=(
            NearMiss(
                why="another one by its name",
                given=(within(rule("patch", "deployments", group="apps", names="checkout")),),
            ),
            NearMiss(why="their scale", given=(within(rule("patch", "deployments/scale", group="apps")),)),
        ),
    ),
    Primitive(
        rows="37",
        name="patch pods",
        policy="rbac/modify-pods",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("patch", "pods")),),
        attempt=(
            call(
                "PATCH",
                f"{CORE}/pods/web",
                {
                    "metadata": {"labels": {"app": "payments"}},
                    "spec": {"containers": [{"name": "app", "image": "registry.example.com/shop/other:1.0.0"}]},
                },
            ),
        ),
        world=(WEB,),
        near_misses=(
            NearMiss(why="another pod by its name", given=(within(rule("patch", "pods", names="api")),)),
            NearMiss(why="their status", given=(within(rule("patch update", "pods/status")),)),
            NearMiss(why="reading them", given=(within(rule("get list watch", "pods")),)),
        ),
    ),
    Primitive(
        rows="38",
        name="create pods/exec",
        policy="rbac/exec-into-pods",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("create", "pods/exec")),),
        attempt=(reach("POST", f"{CORE}/pods/web/exec?command=id&stdout=true"),),
        world=(WEB,),
        not_executable="the command runs in the kubelet; up to it, the API server lets the request through",
        near_misses=(
            NearMiss(why="another pod by its name", given=(within(rule("create", "pods/exec", names="api")),)),
            NearMiss(why="every right on pods, none on exec", given=(within(rule("*", "pods pods/*")),)),
            NearMiss(
                why="get by websocket, since 1.35",
                given=(within(rule("get", "pods/exec")),),
                attempt=(reach("GET", f"{CORE}/pods/web/exec?command=id&stdout=true", headers=WEBSOCKET),),
            ),
        ),
    ),
    Primitive(
        rows="38",
        name="create pods/attach by a wildcard",
        policy="rbac/exec-into-pods",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("create", "*/attach")),),
        attempt=(reach("POST", f"{CORE}/pods/web/attach?stdout=true"),),
        world=(WEB,),
        not_executable="the connection ends in the kubelet; up to it, the API server lets the request through",
        near_misses=(NearMiss(why="delete", given=(within(rule("delete update", "pods/attach")),)),),
    ),
    Primitive(
        rows="38",
        name="get pods/exec before 1.35",
        policy="rbac/exec-into-pods",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("get", "pods/exec")),),
        attempt=(may("get", "pods/exec", name="web", namespace=NS),),
        server_version="v1.34.2",
        not_executable="the API server at hand is newer and asks for create besides",
        near_misses=(NearMiss(why="list", given=(within(rule("list watch", "pods/exec")),)),),
    ),
    Primitive(
        rows="39",
        name="patch pods/ephemeralcontainers",
        policy="rbac/exec-into-pods",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("patch", "pods/ephemeralcontainers")),),
        attempt=(
            call(
                "PATCH",
                f"{CORE}/pods/web/ephemeralcontainers",
                {
                    "spec": {
                        "ephemeralContainers": [
                            {
                                "name": "shell",
                                "image": "registry.example.com/tools/shell:1.0.0",
                                "securityContext": {"privileged": True},
                            }
                        ]
                    }
                },
            ),
        ),
        world=(WEB,),
        near_misses=(
            NearMiss(why="reading them", given=(within(rule("get", "pods pods/ephemeralcontainers")),)),
            NearMiss(
                why="another pod by its name",
                given=(within(rule("patch", "pods/ephemeralcontainers", names="api")),),
            ),
        ),
    ),
    Primitive(
        rows="40",
        name="create pods/portforward",
        policy="rbac/reach-pods",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("create", "pods/portforward")),),
        attempt=(reach("POST", f"{CORE}/pods/web/portforward?ports=5432"),),
        world=(WEB,),
        not_executable="the connection ends in the kubelet; up to it, the API server lets the request through",
        near_misses=(
            NearMiss(why="another pod by its name", given=(within(rule("create", "pods/portforward", names="api")),)),
            NearMiss(
                why="get by websocket, since 1.35",
                given=(within(rule("get", "pods/portforward")),),
                attempt=(reach("GET", f"{CORE}/pods/web/portforward?ports=5432", headers=WEBSOCKET),),
            ),
        ),
    ),
    *(
        Primitive(
            rows="41",
            name=f"{verb} {plural}/proxy",
            policy="rbac/reach-pods",
            gains=Gain.READING,
            severity=Severity.LOW if is_narrow else Severity.MEDIUM,
            given=((within if is_narrow else everywhere)(rule(verb, f"{plural}/proxy")),),
            attempt=(reach(method, f"{CORE}/{plural}/web/proxy/metrics"),),
            world=(WEB, thing("Service", "web", namespace=NS, spec={"ports": [{"port": 80}]})),
            not_executable="nothing answers behind the proxy; up to it, the API server lets the request through",
            near_misses=(NearMiss(why="the object without its subresource", given=(everywhere(rule("*", plural)),)),),
        )
        for verb, method, plural, is_narrow in (
            ("get", "GET", "pods", True),
            ("create", "POST", "pods", False),
            ("get", "GET", "services", False),
            ("delete", "DELETE", "services", True),
        )
    ),
    Primitive(
        rows="42",
        name="get pods/log",
        policy="rbac/read-pod-logs",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("get", "pods/log")),),
        attempt=(reach("GET", f"{CORE}/pods/web/log"),),
        world=(WEB,),
        not_executable="the kubelet reads the log; up to it, the API server lets the request through",
        near_misses=(
            NearMiss(why="list, which no log is read by", given=(within(rule("list watch", "pods pods/log")),)),
            NearMiss(why="another pod by its name", given=(within(rule("get", "pods/log", names="api")),)),
        ),
    ),
    Primitive(
        rows="42",
        name="get pods/log with pods that write the node's logs",
        policy="rbac/read-node-files",
        gains=Gain.NODE,
        severity=Severity.HIGH,
        given=(within(rule("get", "pods/log")),),
        attempt=(reach("GET", f"{CORE}/pods/web/log"),),
        world=(LOG_WRITER,),
        not_executable="the kubelet follows the link; up to it, the API server lets the request through",
        near_misses=(
            NearMiss(why="pods without their logs", given=(within(rule("get list watch", "pods")),)),
            NearMiss(
                why="logs of another namespace",
                given=(within(rule("get", "pods/log"), namespace="default"),),
            ),
        ),
    ),
    *(
        Primitive(
            rows="43",
            name=f"create {resource}",
            policy="rbac/bind-pods",
            gains=Gain.IDENTITY,
            severity=Severity.LOW,
            given=(within(rule("create", resource)),),
            attempt=(
                call(
                    "POST",
                    f"{CORE}/{path}",
                    thing("Binding", "web", namespace=NS, target={"kind": "Node", "name": "control-plane-1"}),
                ),
            ),
            world=(WEB,),
            near_misses=(
                NearMiss(why="update", given=(within(rule("get update patch", resource)),)),
                NearMiss(
                    why="bindings of roles", given=(within(rule("create", "rolebindings bindings", group=group)),)
                ),
            ),
        )
        for resource, path, group in (
            ("pods/binding", "pods/web/binding", "rbac.authorization.k8s.io"),
            ("bindings", "bindings", "example.com"),
        )
    ),
    *(
        Primitive(
            rows="44",
            name=name,
            policy="rbac/steer-pods",
            gains=Gain.IDENTITY,
            severity=Severity.HIGH,
            given=(*pods, *nodes),
            attempt=attempt,
            world=(WEB, NODE),
            near_misses=(
                NearMiss(why="without nodes", given=pods),
                NearMiss(why="without pods", given=nodes),
                NearMiss(
                    why="nodes by a RoleBinding",
                    given=(*pods, within(rule("get patch delete", "nodes"))),
                ),
            ),
        )
        for name, pods, nodes, attempt in (
            (
                "create pods/eviction and patch nodes, by two bindings",
                (within(rule("create", "pods/eviction")),),
                (everywhere(rule("patch", "nodes")),),
                (
                    call("PATCH", f"{NODES}/{NS}-node", {"spec": {"unschedulable": True}}),
                    call("POST", f"{CORE}/pods/web/eviction", thing("Eviction", "web", api="policy/v1", namespace=NS)),
                ),
            ),
            (
                "delete pods and delete nodes, one by a group",
                (within(rule("delete", "pods"), to=f"Group system:serviceaccounts:{NS}"),),
                (everywhere(rule("delete", "nodes")),),
                (call("DELETE", f"{NODES}/{NS}-node"), call("DELETE", f"{CORE}/pods/web")),
            ),
        )
    ),
    Primitive(
        rows="45",
        name="patch pods/status",
        policy="rbac/redirect-services",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("patch", "pods/status")),),
        attempt=(
            call(
                "PATCH",
                f"{CORE}/pods/web/status",
                {
                    "status": {
                        "podIP": "10.0.0.66",
                        "podIPs": [{"ip": "10.0.0.66"}],
                        "conditions": [{"type": "Ready", "status": "True"}],
                    }
                },
            ),
        ),
        world=(WEB,),
        near_misses=(
            NearMiss(why="pods without their status", given=(within(rule("get patch", "pods")),)),
            NearMiss(why="another pod by its name", given=(within(rule("patch", "pods/status", names="api")),)),
        ),
    ),
    Primitive(
        rows="46",
        name="patch deployments/scale",
        policy="rbac/stop-workloads",
        gains=Gain.DENIAL,
        severity=Severity.LOW,
        given=(within(rule("patch", "deployments/scale", group="apps")),),
        attempt=(call("PATCH", f"{APPS}/deployments/web/scale", {"spec": {"replicas": 0}}),),
        world=(workload("Deployment", "web"),),
        near_misses=(
            NearMiss(why="reading it", given=(within(rule("get", "deployments/scale", group="apps")),)),
            NearMiss(
                why="another one by its name",
                given=(within(rule("patch", "deployments/scale", group="apps", names="checkout")),),
            ),
        ),
    ),
    *(
        Primitive(
            rows="47",
            name=f"create what {operator} acts on",
            policy="rbac/drive-operators",
            gains=Gain.CLUSTER_ADMIN,
            severity=Severity.MEDIUM,
            given=(within(*(rule("create", plural, group=group) for plural, group in kinds)),),
            attempt=tuple(may("create", plural, group=group, namespace=NS) for plural, group in kinds),
            not_executable="it takes the operator, which acts on its own; RBAC says whether it can be told",
            near_misses=(
                NearMiss(
                    why="the kinds in another group",
                    given=(within(*(rule("create", plural, group="example.com") for plural, _ in kinds)),),
                ),
            ),
        )
        for operator, kinds in OPERATORS.items()
    ),
    Primitive(
        rows="47",
        name="patch Flux' kustomizations everywhere",
        policy="rbac/drive-operators",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.HIGH,
        given=(everywhere(rule("patch", "kustomizations", group="kustomize.toolkit.fluxcd.io")),),
        attempt=(may("patch", "kustomizations", group="kustomize.toolkit.fluxcd.io", namespace="flux-system"),),
        not_executable="it takes the operator, which acts on its own; RBAC says whether it can be told",
        near_misses=(
            NearMiss(
                why="their status",
                given=(everywhere(rule("patch", "kustomizations/status", group="kustomize.toolkit.fluxcd.io")),),
            ),
        ),
    ),
    # `edit` itself is empty here: no controller fills aggregated roles on the test control plane.
    *(
        Primitive(
            rows="35-41",
            name=f"what is in the built-in role edit, bound {where}",
            policy="rbac/own-namespaces",
            gains=gains,
            severity=severity,
            given=(Grant(namespace=namespace, role="system:aggregate-to-edit"),),
            attempt=(
                RUN_AS,
                call("GET", f"{CORE}/secrets/database"),
                call("POST", f"{CORE}/serviceaccounts/powerful/token", {"spec": {}}),
                call(
                    "POST",
                    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                    {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
                    headers={"Impersonate-User": f"system:serviceaccount:{NS}:powerful"},
                ),
                may("create", "serviceaccounts/token", name="powerful", namespace=namespace or "kube-system"),
            ),
            world=POWERFUL,
            near_misses=(
                NearMiss(
                    why="what is in the built-in role view",
                    given=(Grant(namespace=namespace, role="system:aggregate-to-view"),),
                ),
            ),
        )
        for where, namespace, gains, severity in (
            ("in a namespace", NS, Gain.NAMESPACE, Severity.MEDIUM),
            ("everywhere", "", Gain.CLUSTER_ADMIN, Severity.CRITICAL),
        )
    ),
)
