# Google Cloud: plain requests with the machine's own token.
GRACE=25 # of the 30 s between the notice and the end
NAP=0    # notice waits itself
M=http://169.254.169.254/computeMetadata/v1
CLOUD_ENV=()

# https://cloud.google.com/compute/docs/metadata/querying-metadata
meta() { curl -fsS -m "${2:-5}" -H 'Metadata-Flavor: Google' "$M/$1"; }

# https://cloud.google.com/compute/docs/access/authenticate-workloads
# A token goes through a pipe, never onto a command line or a disk.
as_machine() {
  local t
  t=$(meta instance/service-accounts/default/token | json access_token)
  [ -n "$t" ] && printf 'Authorization: Bearer %s\n' "$t" | curl -fsS -m 60 -H @- "$@"
}

# created-by names the group: https://cloud.google.com/compute/docs/instance-groups/getting-info-about-migs
facts() {
  MACHINE=$(meta instance/name) && ID=$(meta instance/id) && PLACE=$(meta instance/zone) || return 1
  PLACE=projects/$(meta project/project-id)/zones/${PLACE##*/}
  GROUP=$(meta instance/attributes/created-by 2>/dev/null)
  RUN=$(meta instance/attributes/skylift-run 2>/dev/null)
  END=$(meta instance/attributes/skylift-end 2>/dev/null)
}

# https://cloud.google.com/artifact-registry/docs/docker/authentication#token
sign_in() {
  local t
  t=$(meta instance/service-accounts/default/token | json access_token)
  [ -n "$t" ] && printf '%s' "$t" | docker login -u oauth2accesstoken --password-stdin "https://$REGISTRY"
}

# https://cloud.google.com/storage/docs/xml-api/put-object-upload
put() { as_machine -T "$2" "https://storage.googleapis.com/${WORK#gs://}/$1"; }

# https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
secret() {
  as_machine "https://secretmanager.googleapis.com/v1/projects/$ACCOUNT/secrets/$TLS/versions/latest:access" |
    json data | base64 -d
}

# https://cloud.google.com/compute/docs/instances/create-use-preemptible#detecting_if_an_instance_was_preempted
notice() {
  local now
  now=$(meta "instance/preempted?wait_for_change=true&timeout_sec=$PAUSE" $((PAUSE + 5)) 2>/dev/null) ||
    sleep "$PAUSE"
  [ "$now" = TRUE ] && echo preempted
}

acknowledge() { :; }
collect() { :; }

# https://docs.docker.com/engine/logging/drivers/gcplogs/
log_options() { logs=(--log-driver gcplogs --log-opt "gcp-project=$LOGS"); }

# To the journal and the serial console; the alarm here is on what the CPUs do.
tell() { echo "$1"; }

# deleteInstances takes the machine out of its group, so that the group does not repair it:
# https://cloud.google.com/compute/docs/reference/rest/v1/regionInstanceGroupManagers/deleteInstances
remove() {
  local api=https://compute.googleapis.com/compute/v1
  [ -n "$GROUP" ] && as_machine -H 'Content-Type: application/json' \
    -d "{\"instances\":[\"${PLACE#projects/*/}/instances/$MACHINE\"]}" "$api/$GROUP/deleteInstances" && return
  as_machine -X DELETE "$api/$PLACE/instances/$ID"
}
