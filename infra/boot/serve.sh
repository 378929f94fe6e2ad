# A machine that serves one endpoint. Nothing else works on it, so its identity is the server's own, and the server, on the host's
# network, reaches the metadata itself.
JOB=serve

# No endpoint begins with _, so no listing of an endpoint's replicas finds it.
place_of_report() { echo "replicas/_boot/$ENDPOINT/$MACHINE.json"; }

# It stays, unhealthy: its group replaces it at the pace of the health check, and the alarm for unhealthy machines rings. Were it to
# remove itself, the group would only be faster at the same failure.
give_up() { exit 1; }

accept() { :; }

units_of_mode() { unit serve always 0 '' ''; }

tend() { :; }

start_serve() {
  local tls=()
  folder "$HOME_DIR/cache" 10001
  if [ -n "$TLS" ]; then
    (umask 077 && secret >"$STATE/tls.pem") && grep -q PRIVATE "$STATE/tls.pem" && chown 10001 "$STATE/tls.pem" || exit 1
    tls=(-v "$STATE/tls.pem:/run/skylift/tls.pem:ro")
  fi
  container serve 10001 ${GPU:+--gpus all} --shm-size 1g -v "$HOME_DIR/cache:/cache" "${tls[@]}" \
    "$IMAGE" serve --endpoint "$KEEP/endpoints/$ENDPOINT" --work "$WORK" --host 0.0.0.0 --port "$PORT" \
    --replica "${MACHINE,,}" --cache /cache "${FLAGS[@]}"
}
