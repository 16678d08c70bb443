{{/*
What the operator may do. docs/security.md says why for each line; tests/chart/test_rbac.py holds the same table
and fails when this one grows.
*/}}

{{/* In every namespace it watches: a ClusterRole, or one Role each under watchNamespaces. */}}
{{- define "modelyard.rules.namespaced" -}}
- apiGroups: [modelyard.dev]
  resources: [models, modelversions, approvals, rollbacks]
  verbs: [get, list, watch]
- apiGroups: [modelyard.dev]
  resources: [models/status, modelversions/status, approvals/status, rollbacks/status]
  verbs: [get, patch, update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch, update]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "modelyard.rules.crds" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, list, watch]
{{- end -}}

{{- define "modelyard.rules.namespaces" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end -}}
