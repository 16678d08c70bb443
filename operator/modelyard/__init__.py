"""Modelyard: the Kubernetes cluster as the model registry."""
