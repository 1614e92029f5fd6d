"""Tests of what NetworkPolicies, Services and Ingresses come to."""
