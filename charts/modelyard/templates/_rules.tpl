{{/*
What the operator may do in the namespaces it watches: in a ClusterRole, or in one Role each under watchNamespaces.
docs/security.md says why for each line; tests/chart/test_rbac.py holds the same table and fails when this one grows.
*/}}

{{- define "modelyard.rules" -}}
- apiGroups: [modelyard.dev]
  resources: [models, modelversions, approvals, rollbacks]
  verbs: [get, list, watch]
- apiGroups: [modelyard.dev]
  resources: [models/status, modelversions/status, approvals/status, rollbacks/status]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
