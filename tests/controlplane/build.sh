#!/bin/sh
# Builds kube-apiserver and etcd from the Go module beside this file, once for each content of the module.
#   build.sh           builds if need be, prints the folder
#   build.sh --where   prints the folder
set -eu
here=$(cd "$(dirname "$0")" && pwd)
release=$(sed -n 's/^.*k8s.io\/kubernetes \(v[0-9.]*\).*$/\1/p' "$here/go.mod" | head -n 1)
key=$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" | sha256sum | cut -c 1-12)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/plimsoll/controlplane/$release-$key"
echo "$folder"
[ "${1:-}" = "--where" ] && exit 0
[ -x "$folder/kube-apiserver" ] && [ -x "$folder/etcd" ] && exit 0
building="$folder.$$"
trap 'rm -rf "$building"' EXIT
mkdir -p "$building"
minor=$(echo "$release" | cut -d . -f 2)
stamp="k8s.io/component-base/version"
cd "$here"
echo "building kube-apiserver $release and etcd; the first time this takes about ten minutes" >&2
# The server reports its version from these variables; without them it would say v0.0.0-master.
go build -trimpath -o "$building/kube-apiserver" \
  -ldflags "-s -w -X $stamp.gitVersion=$release -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor" \
  k8s.io/kubernetes/cmd/kube-apiserver
go build -trimpath -ldflags "-s -w" -o "$building/etcd" go.etcd.io/etcd/server/v3
mkdir -p "$folder"
mv "$building/kube-apiserver" "$building/etcd" "$folder/"
