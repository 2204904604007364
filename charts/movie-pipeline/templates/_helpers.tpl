{{- /* Names and labels: every object of the chart takes them from here. */ -}}
{{- define "movie-pipeline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* dict: root, part */ -}}
{{- define "movie-pipeline.name" -}}
{{ include "movie-pipeline.fullname" .root }}-{{ .part }}
{{- end -}}

{{- define "movie-pipeline.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "movie-pipeline.labels" -}}
{{ include "movie-pipeline.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: movie-pipeline
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* dict: root, part, component: name, namespace and labels of an object */ -}}
{{- define "movie-pipeline.meta" -}}
name: {{ .name | default (include "movie-pipeline.name" .) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "movie-pipeline.labels" (dict "root" .root "component" (.component | default .part)) | nindent 2 }}
{{- end -}}

{{- /* Annotations of what holds data: neither Helm nor Argo CD deletes it. */ -}}
{{- define "movie-pipeline.keep" -}}
helm.sh/resource-policy: keep
argocd.argoproj.io/sync-options: Delete=false,Prune=false
{{- end -}}

{{- /* dict: root, image (producer or consumer) */ -}}
{{- define "movie-pipeline.image" -}}
{{- $image := index .root.Values.image .image -}}
{{- with .root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "movie-pipeline.airflowImage" -}}
{{- $image := .Values.airflow.images.airflow -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag }}{{ end -}}
{{- end -}}

{{- define "movie-pipeline.sample" -}}
{{- if not .Values.tmdb.existingSecret }}true{{ end -}}
{{- end -}}

{{- define "movie-pipeline.sampleApi" -}}
http://{{ include "movie-pipeline.name" (dict "root" . "part" "sample-api") }}:{{ .Values.sampleApi.port }}
{{- end -}}

{{- define "movie-pipeline.kafkaUser" -}}
{{ include "movie-pipeline.name" . }}
{{- end -}}

{{- /* dict: root, user: the Secret of a Kafka user; empty where the external Kafka needs none */ -}}
{{- define "movie-pipeline.kafkaSecret" -}}
{{- if .root.Values.kafka.enabled -}}
{{ include "movie-pipeline.name" (dict "root" .root "part" .user) }}
{{- else -}}
{{ index .root.Values.kafka.external.users .user }}
{{- end -}}
{{- end -}}

{{- define "movie-pipeline.kafkaCaSecret" -}}
{{- if .Values.kafka.enabled }}{{ include "movie-pipeline.fullname" . }}-cluster-ca-cert{{ else }}{{ .Values.kafka.external.caSecret }}{{ end -}}
{{- end -}}

{{- define "movie-pipeline.kafkaReplicas" -}}
{{ min 3 (int .Values.kafka.nodePool.replicas) }}
{{- end -}}

{{- /* Bitnami's own rule for its names. dict: root, key (postgresql or airflow-postgresql) */ -}}
{{- define "movie-pipeline.postgresqlName" -}}
{{- $values := index .root.Values .key -}}
{{- $name := $values.nameOverride | default .key -}}
{{- $values.fullnameOverride | default (ternary .root.Release.Name (printf "%s-%s" .root.Release.Name $name) (contains $name .root.Release.Name)) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "movie-pipeline.databaseHost" -}}
{{- if .Values.postgresql.enabled }}{{ include "movie-pipeline.postgresqlName" (dict "root" . "key" "postgresql") }}{{ else }}{{ .Values.database.host }}{{ end -}}
{{- end -}}

{{- define "movie-pipeline.ownerSecret" -}}
{{- .Values.database.owner.existingSecret | default (tpl .Values.postgresql.auth.existingSecret .) -}}
{{- end -}}

{{- define "movie-pipeline.appSecret" -}}
{{- .Values.database.app.existingSecret | default (include "movie-pipeline.name" (dict "root" . "part" "database-app")) -}}
{{- end -}}

{{- define "movie-pipeline.adminSecret" -}}
{{- .Values.dag.adminSecret | default (include "movie-pipeline.name" (dict "root" . "part" "airflow-admin")) -}}
{{- end -}}

{{- define "movie-pipeline.claim" -}}
{{- .Values.artifacts.existingClaim | default (include "movie-pipeline.name" (dict "root" . "part" "artifacts")) -}}
{{- end -}}

{{- define "movie-pipeline.daskCluster" -}}
{{ include "movie-pipeline.name" (dict "root" . "part" "dask") }}
{{- end -}}

{{- /* What a pod must be started anew for although its own text stays the same: settings and passwords. */ -}}
{{- define "movie-pipeline.checksums" -}}
checksum/settings: {{ include (print .Template.BasePath "/settings.yaml") . | sha256sum }}
checksum/passwords: {{ include "movie-pipeline.passwords" . | sha256sum }}
{{- end -}}

{{- define "movie-pipeline.passwords" -}}
{{- $generated := include "movie-pipeline.generatedSecrets" . | fromYaml -}}
{{- range list (include "movie-pipeline.appSecret" .) (include "movie-pipeline.ownerSecret" .) .Values.tmdb.existingSecret -}}
{{- if hasKey $generated . }}{{ index $generated . | toJson }}
{{- else if . }}{{ (lookup "v1" "Secret" $.Release.Namespace .).data | default dict | toJson }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The Secrets that this release generates, as YAML: name -> key -> value. A value that the cluster already has is kept, so that
upgrades and a new install after an uninstall find the same ones. Drawn once in a render, however often it is asked for. */ -}}
{{- define "movie-pipeline.generatedSecrets" -}}
{{- if not (hasKey .Values "generatedSecrets") -}}
{{- $values := .Values -}}
{{- $wanted := dict -}}
{{- if $values.secrets.generate -}}
{{- if not $values.database.app.existingSecret -}}
{{- $_ := set $wanted (include "movie-pipeline.appSecret" .) (dict $values.database.app.passwordKey (randAlphaNum 32)) -}}
{{- end -}}
{{- if and $values.postgresql.enabled (not $values.database.owner.existingSecret) -}}
{{- $_ := set $wanted (include "movie-pipeline.ownerSecret" .) (dict "postgres-password" (randAlphaNum 32) $values.database.owner.passwordKey (randAlphaNum 32)) -}}
{{- end -}}
{{- if $values.airflow.enabled -}}
{{- $airflow := $values.airflow -}}
{{- if not $values.dag.adminSecret }}{{ $_ := set $wanted (include "movie-pipeline.adminSecret" .) (dict "password" (randAlphaNum 24)) }}{{ end -}}
{{- $_ := set $wanted $airflow.fernetKeySecretName (dict "fernet-key" (randAlphaNum 32 | b64enc)) -}}
{{- $_ := set $wanted $airflow.apiSecretKeySecretName (dict "api-secret-key" (randAlphaNum 64)) -}}
{{- $_ := set $wanted $airflow.jwtSecretName (dict "jwt-secret" (randAlphaNum 64)) -}}
{{- if index $values "airflow-postgresql" "enabled" -}}
{{- $auth := index $values "airflow-postgresql" "auth" -}}
{{- $_ := set $wanted (tpl $auth.existingSecret .) (dict "postgres-password" (randAlphaNum 32) "password" (randAlphaNum 32)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $all := dict -}}
{{- range $name, $drawn := $wanted -}}
{{- $live := (lookup "v1" "Secret" $.Release.Namespace $name).data | default dict -}}
{{- $kept := dict -}}
{{- range $key, $value := $drawn }}{{ $_ := set $kept $key (ternary (get $live $key | b64dec) $value (hasKey $live $key)) }}{{ end -}}
{{- $_ := set $all $name $kept -}}
{{- end -}}
{{- if and $values.secrets.generate $values.airflow.enabled (index $values "airflow-postgresql" "enabled") -}}
{{- $auth := index $values "airflow-postgresql" "auth" -}}
{{- $password := index $all (tpl $auth.existingSecret .) "password" -}}
{{- $host := include "movie-pipeline.postgresqlName" (dict "root" . "key" "airflow-postgresql") -}}
{{- $_ := set $all $values.airflow.data.metadataSecretName (dict "connection" (printf "postgresql://%s:%s@%s:5432/%s" $auth.username (urlquery $password) $host $auth.database)) -}}
{{- end -}}
{{- $_ := set .Values "generatedSecrets" $all -}}
{{- end -}}
{{- toYaml .Values.generatedSecrets -}}
{{- end -}}
