{{/*
What the admission policies share: names, who is excepted, and how the API server's authorizer is asked. Called by the
templates admission-*.yaml; docs/security.md says in words what each of them stops.

A ValidatingAdmissionPolicy gives no answer of its own about rights. It asks the authorizer for a verb on the virtual
resource models/<stage>, so that ordinary Roles say who may do what to which stage of which Model.
*/}}

{{/* Policies are cluster-scoped, so their names carry the release's namespace; called with (list $ "what"). */}}
{{- define "modelyard.policyName" -}}
{{- $root := index . 0 -}}
{{ $root.Release.Namespace }}.{{ include "modelyard.fullname" $root }}.{{ index . 1 }}
{{- end -}}

{{/* Metadata of a policy and of its binding, which bear one name; called with (list $ "what"). */}}
{{- define "modelyard.policyMetadata" -}}
name: {{ include "modelyard.policyName" . }}
labels:
  {{- include "modelyard.labels" (list (index . 0) "admission") | nindent 2 }}
{{- end -}}

{{/* The kind of stamping: policies that write (Kubernetes 1.36 and newer), or a policy that demands. */}}
{{- define "modelyard.mutates" -}}
{{- if or (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")
          (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
true
{{- end -}}
{{- end -}}

{{/* Where a policy is in force: the operator's namespaces, less those that the values leave out. */}}
{{- define "modelyard.policyScope" -}}
{{- $selector := deepCopy .Values.admission.namespaceSelector -}}
{{- with .Values.watchNamespaces -}}
{{- $mine := dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" . -}}
{{- $_ := set $selector "matchExpressions" (append ($selector.matchExpressions | default list) $mine) -}}
{{- end -}}
matchResources:
  namespaceSelector:
    {{- toYaml $selector | nindent 4 }}
{{- end -}}

{{/* A ValidatingAdmissionPolicyBinding that refuses; called with (list $ "what"). */}}
{{- define "modelyard.denyBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "modelyard.policyMetadata" . | nindent 2 }}
spec:
  policyName: {{ include "modelyard.policyName" . }}
  validationActions: [Deny]
  {{- include "modelyard.policyScope" (index . 0) | nindent 2 }}
{{- end -}}

{{/* CEL: the user is one of a list of users, or in one of a list of groups; called with (list users groups). */}}
{{- define "modelyard.isOneOf" -}}
(request.userInfo.username in {{ index . 0 | toJson }} || request.userInfo.?groups.orValue([]).exists(g, g in {{ index . 1 | toJson }}))
{{- end -}}

{{- define "modelyard.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "modelyard.serviceAccountName" . }}
{{- end -}}

{{/* CEL: the operator, or an account that the values except, such as that of a backup tool. */}}
{{- define "modelyard.isExcepted" -}}
{{- $users := prepend .Values.admission.exemptUsers (include "modelyard.operatorUser" .) -}}
{{- include "modelyard.isOneOf" (list $users .Values.admission.exemptGroups) -}}
{{- end -}}

{{/*
CEL: one of Kubernetes' own controllers, by the account that each has for itself or by that of the whole controller
manager. Only those that write what belongs to a Deployment, a Job or a Service: each of them has read its orders from
an object that only the operator can write.
*/}}
{{- define "modelyard.isBuiltIn" -}}
{{- $users := list "system:apiserver" "system:kube-controller-manager" -}}
{{- range list "deployment" "replicaset" "job" "endpointslice" "namespace" "node" "service" "storage-version-migrator" -}}
{{- $users = append $users (printf "system:serviceaccount:kube-system:%s-controller" .) -}}
{{- end -}}
{{- range list "generic-garbage-collector" "pod-garbage-collector" "ttl-after-finished-controller" -}}
{{- $users = append $users (printf "system:serviceaccount:kube-system:%s" .) -}}
{{- end -}}
{{- include "modelyard.isOneOf" (list $users list) -}}
{{- end -}}

{{/* CEL: the object goes with its namespace, which nothing here may hold up. Match conditions know no namespaceObject. */}}
{{- define "modelyard.goesWithNamespace" -}}
(request.operation == 'DELETE' && has(namespaceObject.metadata.deletionTimestamp))
{{- end -}}

{{/* CEL: may the user do this to a stage of a Model? Called with (list verb stage model), the last two being CEL. */}}
{{- define "modelyard.allowed" -}}
authorizer.group('modelyard.dev').resource('models').subresource({{ index . 1 }}).namespace(request.namespace).name({{ index . 2 }}).check('{{ index . 0 }}').allowed()
{{- end -}}

{{/*
Validations that ask for a verb at each stage of a list; called with (list verb stages model role limit), where stages
and model are CEL. One authorizer check a validation: more than two exceed the budget of one expression, and the
message, which cannot ask the authorizer, has to name the stage that is refused.
*/}}
{{- define "modelyard.validateStages" -}}
{{- $verb := index . 0 -}}{{- $stages := index . 1 -}}{{- $model := index . 2 -}}{{- $role := index . 3 -}}{{- $limit := index . 4 -}}
- expression: size({{ $stages }}) <= {{ $limit }}
  reason: Forbidden
  message: this touches more than {{ $limit }} stages at once, more than can be checked; do it in several steps
{{- range $index := until (int $limit) }}
{{- $stage := printf "%s[%d]" $stages $index }}
- expression: size({{ $stages }}) <= {{ $index }} || {{ include "modelyard.allowed" (list $verb $stage $model) }}
  reason: Forbidden
  messageExpression: >-
    {{ include "modelyard.refusal" (list $verb $stage $model $role) }}
{{- end }}
{{- end -}}

{{/* CEL: who lacks which right, and how to get it; called with (list verb stage model role). */}}
{{- define "modelyard.refusal" -}}
{{- $verb := index . 0 -}}{{- $stage := index . 1 -}}{{- $model := index . 2 -}}{{- $role := index . 3 -}}
request.userInfo.username + ' may not {{ $verb }} at stage ' + {{ $stage }} + ' of Model ' + {{ $model }} + ': it takes the verb {{ $verb }} on models/' + {{ $stage }} + ', which for example the ClusterRole {{ $role }} has; to ask whether you hold it: kubectl auth can-i {{ $verb }} models.modelyard.dev/' + {{ $model }} + ' --subresource=' + {{ $stage }} + ' --namespace=' + request.namespace
{{- end -}}

{{/* CEL: the stages of a Model that lists none. */}}
{{- define "modelyard.defaultStages" -}}
[{'name': 'staging'}, {'name': 'production'}]
{{- end -}}

{{/* CEL: an UPDATE changes more of a Model's spec than its description and its stages. */}}
{{- define "modelyard.servingChanged" -}}
(dyn(object.spec).exists(k, !(k in ['description', 'owner', 'consumers', 'card', 'stages']) && (!(k in dyn(oldObject.spec)) || dyn(object.spec)[k] != dyn(oldObject.spec)[k])) || dyn(oldObject.spec).exists(k, !(k in ['description', 'owner', 'consumers', 'card', 'stages']) && !(k in dyn(object.spec))))
{{- end -}}

{{/* What bears stamps. */}}
{{- define "modelyard.stampedKinds" -}}
resourceRules:
- apiGroups: [modelyard.dev]
  apiVersions: [v1alpha1]
  resources: [models, modelversions, approvals, rollbacks]
  operations: [CREATE, UPDATE]
{{- end -}}

{{/*
Variables of both policies on stamps: which values they have to have, the user's name where the request changes what
the stamp is about and what it was everywhere else, and which of them have another one.
*/}}
{{- define "modelyard.stampVariables" -}}
- name: asks
  expression: >-
    request.operation == 'CREATE' ||
    (request.resource.resource == 'modelversions' && (object.?spec.?stage != oldObject.spec.?stage ||
    object.metadata.?annotations['modelyard.dev/request'] != oldObject.metadata.?annotations['modelyard.dev/request'])) ||
    (request.resource.resource == 'models' && has(object.spec) && (object.spec.?stages != oldObject.spec.?stages ||
    {{ include "modelyard.servingChanged" . }}))
- name: retries
  expression: >-
    request.operation == 'CREATE' ? 'modelyard.dev/retry' in object.metadata.?annotations.orValue({}) :
    object.metadata.?annotations['modelyard.dev/retry'] != oldObject.metadata.?annotations['modelyard.dev/retry']
- name: found
  expression: "object.metadata.?annotations.orValue({})"
- name: before
  expression: "request.operation == 'CREATE' ? {} : oldObject.metadata.?annotations.orValue({})"
- name: want
  expression: >-
    {'modelyard.dev/requested-by': variables.asks ? request.userInfo.username : variables.before[?'modelyard.dev/requested-by'].orValue(''),
    'modelyard.dev/retried-by': variables.retries ? request.userInfo.username : variables.before[?'modelyard.dev/retried-by'].orValue('')}
- name: wrong
  expression: "variables.want.filter(k, variables.want[k] != variables.found[?k].orValue(''))"
{{- end -}}
