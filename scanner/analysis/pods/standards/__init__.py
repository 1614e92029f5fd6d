"""The Pod Security Standards, as the admission plugin of Kubernetes judges them: each check by its id and version.

`versions` says which standards there are, `registry` which checks belong to a level of a version, `verdicts` what they
say of workloads. The other modules hold the checks, by what they are about. A check takes a `JudgedPod` and returns a
`Violation` with the plugin's words and with the fields that make it one, or None.

Source: k8s.io/pod-security-admission v0.37.2, and the Pod Security Standards of the Kubernetes documentation.
"""
