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
    | toPrettyJson -}}
{{- end -}}
