{{- /* Names, labels and image references that several templates share. */ -}}

{{- define "finetune-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "finetune-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "finetune-operator.labels" -}}
{{ include "finetune-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* A reference: one with a tag or a digest stands for itself, a bare name gets images.registry and images.tag. */ -}}
{{- define "finetune-operator.image" -}}
{{- $last := .image | splitList "/" | last -}}
{{- if or (contains ":" $last) (contains "@" $last) -}}
{{- .image -}}
{{- else -}}
{{- printf "%s:%s" (list .root.Values.images.registry .image | compact | join "/") (.root.Values.images.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{- /* An egress rule: names may be asked for. */ -}}
{{- define "finetune-operator.dns" -}}
- to: {{- toYaml .dns | nindent 2 }}
  ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}

{{- /* What the operator may do with the objects of one namespace (or of all). */ -}}
{{- define "finetune-operator.rules" -}}
- apiGroups: [finetune.dev]
  resources: [finetunejobs, finetunedmodels, modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [finetune.dev]
  resources: [finetunedmodels]
  verbs: [create]
- apiGroups: [finetune.dev]
  resources: [finetunejobs/status, finetunedmodels/status, modeldeployments/status]
  verbs: [get, patch]
- apiGroups: [finetune.dev]      # blockOwnerDeletion, where OwnerReferencesPermissionEnforcement is on (OpenShift)
  resources: [finetunejobs/finalizers, finetunedmodels/finalizers, modeldeployments/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
# Workspaces after limits.ttlAfterFinished, or out of the training's reach (WorkspaceMisplaced). Where
# OwnerReferencesPermissionEnforcement is on (OpenShift), also to hand a claim over to its model.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [delete]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch, create]
{{- end }}
