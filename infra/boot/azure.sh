# Azure: plain requests with the token of the user-assigned identity.
GRACE=25 # of the 30 s between the notice and the end
NAP=$PAUSE
M=http://169.254.169.254/metadata
CLOUD_ENV=("AZURE_CLIENT_ID=$CLIENT")
ARM=https://management.azure.com

# https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
meta() { curl -fsS -m "${2:-5}" --noproxy '*' -H 'Metadata: true' "$M/$1"; }

fact() { meta "instance/compute/$1?api-version=2021-02-01&format=text"; }

# https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
token() { meta "identity/oauth2/token?api-version=2018-02-01&resource=$1&client_id=$CLIENT" 30 | json access_token; }

# The first word is whom the token is for. It goes through a pipe, never onto a command line or a disk.
as_machine() {
  local t
  t=$(token "$1")
  shift
  [ -n "$t" ] && printf 'Authorization: Bearer %s\n' "$t" | curl -fsS -m 60 -H @- "$@"
}

facts() {
  local tags
  MACHINE=$(fact name) && ID=$(fact resourceId) && tags=$(fact tags | tr ';' '\n') || return 1
  RUN=$(sed -n 's/^skylift-run://p' <<<"$tags")
  END=$(sed -n 's/^skylift-end://p' <<<"$tags")
  PLACE='' GROUP=''
}

# https://azure.github.io/acr/AAD-OAuth.html
sign_in() {
  local t
  t=$(token "$ARM/")
  [ -n "$t" ] || return 1
  t=$(printf 'grant_type=access_token&service=%s&access_token=%s' "$REGISTRY" "$t" |
    curl -fsS -m 60 --data-binary @- "https://$REGISTRY/oauth2/exchange" | json refresh_token)
  [ -n "$t" ] && printf '%s' "$t" |
    docker login -u 00000000-0000-0000-0000-000000000000 --password-stdin "$REGISTRY"
}

# https://learn.microsoft.com/rest/api/storageservices/put-blob
put() {
  local to=${WORK#az://}
  as_machine https://storage.azure.com/ -T "$2" -H 'x-ms-blob-type: BlockBlob' -H 'x-ms-version: 2023-11-03' \
    "https://${to%%/*}.blob.core.windows.net/${to#*/}/$1"
}

# https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
secret() {
  local pem
  pem=$(as_machine https://vault.azure.net "https://${TLS%%/*}.vault.azure.net/secrets/${TLS#*/}?api-version=7.4" |
    json value)
  [ -n "$pem" ] && printf '%b\n' "$pem"
}

# https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events
# The list holds the events of all machines of the set; an event is one object without inner objects.
notice() {
  meta 'scheduledevents?api-version=2020-07-01' 130 2>/dev/null | tr -d '\n' | tr '{' '\n' |
    grep -E '"EventType" *: *"(Preempt|Terminate)"' | grep -F "\"$MACHINE\""
}

# Saved already: let it go at once instead of at the end of the notice.
acknowledge() {
  local event
  event=$(json EventId <<<"$1")
  curl -fsS -m 5 --noproxy '*' -H 'Metadata: true' -d "{\"StartRequests\":[{\"EventId\":\"$event\"}]}" \
    "$M/scheduledevents?api-version=2020-07-01" >/dev/null
}

# To the journal with the unit's output, from where the agent takes it to the log workspace.
tell() { echo "$1"; }

# All machines of a set bind it to the same rule; none waits for that or fails by it.
# https://learn.microsoft.com/rest/api/monitor/data-collection-rule-associations/create
collect() {
  [ -z "$RULE" ] || as_machine "$ARM/" -X PUT -H 'Content-Type: application/json' \
    -d "{\"properties\":{\"dataCollectionRuleId\":\"$RULE\"}}" \
    "$ARM${ID%/virtualMachines/*}/providers/Microsoft.Insights/dataCollectionRuleAssociations/skylift?api-version=2022-06-01"
} >/dev/null 2>&1

# The id names the machine of a set as well as one by itself. A shutdown from inside would leave it allocated and billed:
# https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-set-vms/delete
# https://learn.microsoft.com/azure/virtual-machines/states-billing
remove() { as_machine "$ARM/" -X DELETE "$ARM$ID?api-version=2024-07-01&forceDeletion=true"; }
