"""What changed since the last scan, and how it stands; pure."""
