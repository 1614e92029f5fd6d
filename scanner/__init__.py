"""Plimsoll tells a Kubernetes team how much risk its cluster is carrying."""
