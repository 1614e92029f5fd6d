"""From an API server, manifests or a saved file to a `Snapshot`; the only importer of `kubernetes`."""
