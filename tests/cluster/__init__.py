"""Tests of reading a cluster: from an API server, manifests or a saved file to a `Snapshot`."""
