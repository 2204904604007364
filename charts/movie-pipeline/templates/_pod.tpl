{{- /* One pod of ours.
dict: root, component, image (producer or consumer), args or command, resources; optional: account (defaults to the component),
kafka (the Kafka user's name), database (app or owner), tmdb, artifacts (rw or ro), dask, token, restart, deadline, grace, labels, extra
(more of the container as YAML), env (more variables as YAML), settings (default true), wait (seconds for the database, and required or optional). */ -}}
{{- define "movie-pipeline.podTemplate" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "movie-pipeline.selector" (dict "root" $root "component" .component) | nindent 4 }}
    app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
    app.kubernetes.io/part-of: movie-pipeline
    {{- with .labels }}{{ toYaml . | nindent 4 }}{{ end }}
    {{- with $root.Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    {{- if ne .component "dask" }}
    {{- include "movie-pipeline.checksums" $root | nindent 4 }}
    {{- end }}
    {{- with .annotations }}{{ toYaml . | nindent 4 }}{{ end }}
    {{- with $root.Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  {{- include "movie-pipeline.podSpec" . | nindent 2 }}
{{- end -}}

{{- define "movie-pipeline.podSpec" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $settings := dig "settings" true (omit . "root") -}}
serviceAccountName: {{ include "movie-pipeline.name" (dict "root" $root "part" (.account | default .component)) }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
{{- with .restart }}
restartPolicy: {{ . }}
{{- end }}
{{- with .grace }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with .deadline }}
activeDeadlineSeconds: {{ . }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $values $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- with .spread }}
{{- $component := . }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml . | nindent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "movie-pipeline.selector" (dict "root" $root "component" $component) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}
{{- if .wait }}
initContainers:
  - name: wait-for-database
    image: {{ include "movie-pipeline.image" (dict "root" $root "image" .image) }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    command: {{ list "python" "-c" ($root.Files.Get "files/wait_database.py") (index .wait 0 | toString) (index .wait 1) | toJson }}
    securityContext:
      {{- toYaml $values.containerSecurityContext | nindent 6 }}
    envFrom:
      - configMapRef:
          name: {{ include "movie-pipeline.name" (dict "root" $root "part" "settings") }}
    env:
      {{- include "movie-pipeline.env" (dict "root" $root "database" .database) | nindent 6 }}
    resources:
      requests: {cpu: 20m, memory: 32Mi}
      limits: {memory: 96Mi}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- if $values.database.caSecret }}
      - name: database-ca
        mountPath: /etc/movie-pipeline/database
        readOnly: true
      {{- end }}
{{- end }}
containers:
  - name: {{ .container | default .component }}
    image: {{ include "movie-pipeline.image" (dict "root" $root "image" .image) }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    {{- with .command }}
    command: {{ toJson . }}
    {{- end }}
    {{- with .args }}
    args: {{ toJson . }}
    {{- end }}
    workingDir: /tmp
    securityContext:
      {{- toYaml $values.containerSecurityContext | nindent 6 }}
    {{- if $settings }}
    envFrom:
      - configMapRef:
          name: {{ include "movie-pipeline.name" (dict "root" $root "part" "settings") }}
    {{- end }}
    env:
      {{- include "movie-pipeline.env" . | nindent 6 }}
      {{- with .env }}{{ . | nindent 6 }}{{ end }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    {{- with .extra }}{{ . | nindent 4 }}{{ end }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- if and .kafka (include "movie-pipeline.kafkaCaSecret" $root) }}
      - name: kafka-ca
        mountPath: /etc/movie-pipeline/kafka
        readOnly: true
      {{- end }}
      {{- if and .database $values.database.caSecret }}
      - name: database-ca
        mountPath: /etc/movie-pipeline/database
        readOnly: true
      {{- end }}
      {{- with .artifacts }}
      - name: artifacts
        mountPath: /data
        {{- if eq . "ro" }}
        readOnly: true
        {{- end }}
      {{- end }}
      {{- if .dask }}
      - name: dask
        mountPath: /etc/movie-pipeline/dask
        readOnly: true
      {{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 2Gi
  {{- if and .kafka (include "movie-pipeline.kafkaCaSecret" $root) }}
  - name: kafka-ca
    secret:
      secretName: {{ include "movie-pipeline.kafkaCaSecret" $root }}
      items:
        - key: {{ ternary "ca.crt" $values.kafka.external.caKey $values.kafka.enabled }}
          path: ca.crt
  {{- end }}
  {{- if and .database $values.database.caSecret }}
  - name: database-ca
    secret:
      secretName: {{ $values.database.caSecret }}
  {{- end }}
  {{- with .artifacts }}
  - name: artifacts
    persistentVolumeClaim:
      claimName: {{ include "movie-pipeline.claim" $root }}
      {{- if eq . "ro" }}
      readOnly: true
      {{- end }}
  {{- end }}
  {{- if .dask }}
  - name: dask
    configMap:
      name: {{ include "movie-pipeline.name" (dict "root" $root "part" "dask") }}
  {{- end }}
{{- end -}}

{{- define "movie-pipeline.env" -}}
{{- $root := .root -}}
{{- /* A numeric user has no line in /etc/passwd: getpass asks USER, libraries write below HOME. */ -}}
- name: USER
  value: movie-pipeline
- name: HOME
  value: /tmp
{{- with .kafka }}
{{- if $root.Values.kafka.enabled }}
- name: KAFKA_SASL_USERNAME
  value: {{ include "movie-pipeline.kafkaSecret" (dict "root" $root "user" .) }}
{{- end }}
{{- $secret := include "movie-pipeline.kafkaSecret" (dict "root" $root "user" .) }}
{{- if $secret }}
{{- if not $root.Values.kafka.enabled }}
- name: KAFKA_SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: username}}
{{- end }}
- name: KAFKA_SASL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: password}}
{{- end }}
{{- end }}
{{- with .database }}
{{- $role := index $root.Values.database . }}
- name: PGUSER
  value: {{ $role.username }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ include (printf "movie-pipeline.%sSecret" .) $root }}, key: {{ $role.passwordKey }}}}
{{- end }}
{{- if .dask }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end }}
{{- if and .tmdb $root.Values.tmdb.existingSecret }}
- name: TMDB_API_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $root.Values.tmdb.existingSecret }}, key: {{ $root.Values.tmdb.tokenKey }}}}
{{- else if .tmdb }}
- name: TMDB_API_TOKEN
  value: sample
{{- end }}
{{- end -}}
