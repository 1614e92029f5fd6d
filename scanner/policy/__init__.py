"""Policies: from their files to findings, pure but for reading the files."""
