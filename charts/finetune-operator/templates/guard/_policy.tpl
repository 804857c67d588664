{{/*
What the four policies have in common.

Each takes the users of a model as parameters: a binding with an empty selector and no namespace makes the API server
evaluate the policy once for every object of paramKind in the namespace of the object that is to be deleted. Nothing
has to run for that, and no status has to be trusted.

- failurePolicy Fail: what cannot be evaluated is not allowed.
- A terminating namespace goes, whatever is in it: its controller deletes objects in the order of their names and stops
  at the first refusal, so one refusal would keep it for ever. namespaceObject is known in validations only.
- The annotation finetune.dev/force-delete yields, if it holds the object's own uid: a copied manifest cannot carry it.
*/}}

{{- define "finetune-operator.guard.notForced" -}}
- name: not-forced
  expression: >-
    !(has(oldObject.metadata.annotations) && 'finetune.dev/force-delete' in oldObject.metadata.annotations &&
    oldObject.metadata.annotations['finetune.dev/force-delete'] == oldObject.metadata.uid)
{{- end }}

{{- define "finetune-operator.guard.deleteModel" -}}
resourceRules:
  - apiGroups: [finetune.dev]
    apiVersions: ["*"]
    operations: [DELETE]
    resources: [finetunedmodels]
{{- end }}

{{/* A base that is an address on the model's claim, in or below the folder of its files, is the model as well. */}}
{{- define "finetune-operator.guard.baseOnClaim" -}}
- name: folder
  expression: >-
    !has(oldObject.spec.source.claim) || !has(oldObject.spec.source.claim.path) ? '' :
    oldObject.spec.source.claim.path.startsWith('/') ? oldObject.spec.source.claim.path.substring(1) : oldObject.spec.source.claim.path
- name: files
  expression: >-
    !has(oldObject.spec.source.claim) ? 'none' : 'pvc://' + oldObject.spec.source.claim.name + '/' + variables.folder +
    (variables.folder == '' || variables.folder.endsWith('/') ? '' : '/')
- name: onItsClaim
  expression: >-
    params != null && has(params.spec.base.source) && (params.spec.base.source + '/').startsWith(variables.files)
{{- end }}

{{- define "finetune-operator.guard.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .policy }}
  labels: {{- include "finetune-operator.labels" .root | nindent 4 }}
spec:
  policyName: {{ .policy }}
  validationActions: [Deny]
  paramRef:
    selector: {}
    parameterNotFoundAction: Allow
{{- end }}
