{{/* The beginning of every name, and the address within the cluster. */}}
{{- define "mlplat.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}
{{- define "mlplat.domain" -}}{{ .Release.Namespace }}.svc{{- end }}
{{- define "mlplat.users" -}}{{ .Values.users.namespace | default (printf "%s-users" .Release.Namespace) }}{{- end }}
{{- define "mlplat.builds" -}}{{ .Values.builds.namespace | default (printf "%s-builds" .Release.Namespace) }}{{- end }}
{{- define "mlplat.secret" -}}{{ .Values.secrets.existing | default (include "mlplat.name" .) }}{{- end }}

{{- define "mlplat.image" -}}
{{- $name := required "image.name: say where the image of the control plane is (scripts/build_images.py builds it)" .Values.image.name -}}
{{- if .Values.image.digest -}}{{ $name }}@{{ .Values.image.digest }}
{{- else -}}{{ $name }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end }}

{{/* The node agent's own image: without a word on it the one that was built together with that of the control plane. */}}
{{- define "mlplat.agentImage" -}}
{{- $own := .Values.agent.image | default dict -}}
{{- $name := $own.name | default (regexReplaceAll "[^/]*$" .Values.image.name "node-agent") -}}
{{- $tag := $own.tag | default .Values.image.tag -}}
{{- if $own.digest -}}{{ $name }}@{{ $own.digest }}
{{- else if $tag -}}{{ $name }}:{{ $tag }}
{{- else if .Values.image.digest -}}{{ fail "agent.image.digest: the image of the control plane is named by its digest, say the node agent's, too" }}
{{- else -}}{{ $name }}:{{ .Chart.AppVersion }}{{- end -}}
{{- end }}

{{- define "mlplat.publicUrl" -}}
{{- if .Values.ingress.enabled -}}https://{{ required "ingress.host: say at which name people find the platform" .Values.ingress.host }}
{{- else -}}{{ required "publicUrl: say at which address people find the platform, or enable the ingress" .Values.publicUrl | trimSuffix "/" }}{{- end -}}
{{- end }}

{{/* Labels of a part: (list $ "hub"). The selector never changes. */}}
{{- define "mlplat.selector" -}}
app.kubernetes.io/name: jupyter-mlplat
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}
{{- define "mlplat.labels" -}}
{{ include "mlplat.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{/* What every pod of the control plane but the agent and the database has. */}}
{{- define "mlplat.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "mlplat.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- define "mlplat.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* A variable from a Secret: (list NAME SECRET KEY). */}}
{{- define "mlplat.secretVariable" -}}
- name: {{ index . 0 }}
  valueFrom: {secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}}
{{- end }}

{{/* The Secret with the two addresses of databases. */}}
{{- define "mlplat.databaseSecret" -}}
{{- if .Values.database.trial.enabled -}}{{ include "mlplat.name" . }}-database
{{- else -}}{{ required "database.secret: name a Secret with platform-url and hub-url, or enable database.trial" .Values.database.secret }}{{- end -}}
{{- end }}

{{/* Waits for the database and makes it where there is none: (list $ VARIABLE KEY). */}}
{{- define "mlplat.awaitDatabase" -}}
- name: database
  image: {{ include "mlplat.image" (index . 0) }}
  imagePullPolicy: {{ (index . 0).Values.image.pullPolicy }}
  command: [python, -m, jupyter_mlplat.db.prepare, {{ index . 1 }}]
  env:
    {{- include "mlplat.secretVariable" (list (index . 1) (include "mlplat.databaseSecret" (index . 0)) (index . 2)) | nindent 4 }}
  securityContext:
    {{- include "mlplat.containerSecurity" . | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 64Mi}
    limits: {memory: 256Mi}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
{{- end }}

{{/* Where images are kept, for the platform and the agents: (list $ PREFIX OF THE VARIABLES). */}}
{{- define "mlplat.registry" -}}
{{- $root := index . 0 -}}
{{- $prefix := index . 1 -}}
- name: {{ $prefix }}REGISTRY
  value: {{ required "registry.address: say where images of users are kept" $root.Values.registry.address | quote }}
- name: {{ $prefix }}REGISTRY_INSECURE
  value: {{ $root.Values.registry.insecure | quote }}
{{- with $root.Values.registry.secret }}
{{ include "mlplat.secretVariable" (list (printf "%sREGISTRY_USER" $prefix) . "username") }}
{{ include "mlplat.secretVariable" (list (printf "%sREGISTRY_PASSWORD" $prefix) . "password") }}
{{- end }}
{{- if $root.Values.registry.certificates }}
- name: {{ $prefix }}REGISTRY_CA
  value: /etc/mlplat/registry/ca.crt
{{- end }}
{{- end }}
{{- define "mlplat.registryMount" -}}
{{- if .Values.registry.certificates }}
- {name: registry, mountPath: /etc/mlplat/registry, readOnly: true}
{{- end }}
{{- end }}
{{- define "mlplat.registryVolume" -}}
{{- with .Values.registry.certificates }}
- name: registry
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}

{{/* Where pods go: the nodeSelector and tolerations of a part. */}}
{{- define "mlplat.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
