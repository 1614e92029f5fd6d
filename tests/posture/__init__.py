"""Claims about posture: what changed, how it stands, what is told."""
