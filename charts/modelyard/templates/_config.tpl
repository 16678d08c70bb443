{{/*
The operator's configuration file, as JSON. Called by the ConfigMap and by the checksum that restarts the operator
when it changes.
*/}}
{{- define "modelyard.config" -}}
{{- $helper := .Values.helperPods -}}
{{- $pullSecrets := list -}}
{{- range $helper.imagePullSecrets }}{{ $pullSecrets = append $pullSecrets .name }}{{ end -}}
{{- $runAsUser := $helper.runAsUser -}}
{{- if $runAsUser }}{{ $runAsUser = int64 $runAsUser }}{{ end -}}
{{- $helperPods := dict
      "image" ($helper.image | default (include "modelyard.image" .))
      "imagePullPolicy" ($helper.imagePullPolicy | default .Values.image.pullPolicy)
      "imagePullSecrets" $pullSecrets
      "resources" $helper.resources
      "tolerations" $helper.tolerations
      "nodeSelector" $helper.nodeSelector
      "labels" $helper.labels
      "runAsUser" $runAsUser -}}
{{- $ledger := dict -}}
{{- with .Values.ledger -}}
{{- if and .url (not $.Values.clusterName) -}}
{{- fail "clusterName: the records of a ledger (ledger.url) need the name of this cluster" -}}
{{- end -}}
{{- $retention := dict -}}
{{- with .retention }}{{ $retention = dict "mode" .mode "days" (int64 .days) }}{{ end -}}
{{- if .url -}}
{{- $ledger = dict
      "url" .url
      "endpoint" .endpoint
      "region" .region
      "caBundle" .caBundle
      "forcePathStyle" .forcePathStyle
      "retention" ($retention | default nil)
      "recoverFrom" .recoverFrom
      "servePort" (ternary 8443 nil .service.enabled)
      "signingKey" (ternary "/etc/modelyard-signing/key.pem" "" (not (empty .signingSecretName))) -}}
{{- end -}}
{{- end -}}
{{- dict
      "watchNamespaces" .Values.watchNamespaces
      "clusterName" .Values.clusterName
      "leaseName" (include "modelyard.fullname" .)
      "leaseNamespace" .Release.Namespace
      "listenPort" 8080
      "logLevel" .Values.logLevel
      "logFormat" .Values.logFormat
      "workers" (int64 .Values.workers)
      "maxVerificationsPerNamespace" (int64 .Values.maxVerificationsPerNamespace)
      "sweepInterval" (int64 .Values.sweepInterval)
      "helperPods" $helperPods
      "admission" .Values.admission.enabled
      "sharedAccounts" .Values.admission.sharedAccounts
      "ledger" ($ledger | default nil)
    | toPrettyJson -}}
{{- end -}}
