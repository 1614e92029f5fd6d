"""The manifests that people install."""
