"""The proof: mirrors `scanner/`, plus policies, conformance and end to end."""
