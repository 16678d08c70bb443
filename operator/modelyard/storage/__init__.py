"""Artifacts in object storage: reading them, their one digest, their formats."""
