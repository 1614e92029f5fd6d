// The YAML library of kubectl v1.37, for the tests of our reader.
module plimsoll.dev/kubectlyaml

go 1.26.0

require sigs.k8s.io/yaml v1.6.0

require go.yaml.in/yaml/v2 v2.4.4 // indirect
