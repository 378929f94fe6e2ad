# What all machines share. Without a word it is the first boot; systemd calls it again, with a word for each thing that it runs.

say() { echo "skylift: $*"; }

# The last text value of that name in JSON on stdin.
json() { tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }

# Fit for a JSON string.
clean() { tail -c 400 | tr -c '[:print:]' ' ' | sed 's/[\\"]/\\&/g'; }

# Seconds since 1970 of 20261122t234501z.
moment() { date -u -d "${1:0:4}-${1:4:2}-${1:6:2} ${1:9:2}:${1:11:2}:${1:13:2}" +%s; }

# Who we are, asked once in the life of the machine: a restart does not lengthen it.
know() {
  local i now
  if [ -s "$HOME_DIR/facts" ]; then
    # shellcheck source=/dev/null
    . "$HOME_DIR/facts"
    return
  fi
  for i in 1 2 3 4 5 6; do
    facts 2>"$STATE/err" && break
    sleep "$((PAUSE * i))"
  done
  [ -n "$ID" ] || return 1
  now=$(date +%s)
  UNTIL=$((now + LIFE))
  if [[ $END =~ ^[0-9]{8}t[0-9]{6}z$ ]] && END=$(moment "$END") && ((END < UNTIL)); then UNTIL=$END; fi
  printf '%s=%q\n' MACHINE "$MACHINE" ID "$ID" PLACE "$PLACE" GROUP "$GROUP" RUN "$RUN" UNTIL "$UNTIL" >"$HOME_DIR/facts"
}

# A few facts, no secret, where people and commands look.
report() {
  local i
  printf '{"schema":1,"reason":"%s","message":"%s","detail":"%s","at":"%s","stack":"%s","machine":"%s","image":"%s"}\n' \
    "$1" "$2" "$(clean <"$STATE/err")" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(clean <<<"$STACK")" \
    "$(printf %s "$MACHINE" | clean)" "$IMAGE" >"$STATE/report.json"
  for i in 1 2 3; do
    put "$(place_of_report)" "$STATE/report.json" && return
    sleep "$((PAUSE * i))"
  done
  say "the report could not be written"
}

# Of two that fail at once, the first reports.
fail() {
  mkdir "$STATE/failing" 2>/dev/null || exit 1
  say "FAILED, $1: $2"
  systemctl stop "skylift-$JOB" 2>/dev/null
  report "$1" "$2"
  give_up
}

# Name, Restart=, the seconds in which it may start five times, exit codes that no restart helps, where its words go beside journald.
unit() {
  cat >"$UNITS/skylift-$1.service" <<UNIT
[Unit]
Description=Skylift $1
Wants=network-online.target docker.service
After=network-online.target docker.service
StartLimitIntervalSec=$3
StartLimitBurst=5
[Service]
ExecStart=/bin/bash $HOME_DIR/boot.sh $1
ExecStop=-/bin/bash $HOME_DIR/boot.sh stop $1
ExecStopPost=-/bin/bash $HOME_DIR/boot.sh ended $1
Restart=$2
RestartSec=10
RestartPreventExitStatus=$4
TimeoutStopSec=330
StandardOutput=journal$5
[Install]
WantedBy=multi-user.target
UNIT
}

driver() {
  local last=$(($(date +%s) + DRIVER))
  until timeout 60 nvidia-smi -L 2>"$STATE/err" | grep '^GPU'; do
    (($(date +%s) < last)) || fail no_driver "the GPU driver did not answer within $DRIVER s"
    sleep "$PAUSE"
  done
}

# Images for GPUs carry docker; plain ones get their distribution's.
engine() {
  local i
  if ! command -v docker >/dev/null && [ -z "$GPU" ]; then
    (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy docker.io) || dnf install -qy docker
    systemctl enable --now docker
  fi >/dev/null 2>"$STATE/err"
  for i in 1 2 3 4 5 6; do
    docker info >/dev/null 2>"$STATE/err" && return
    sleep "$((PAUSE * i))"
  done
  fail no_docker "docker is not there or does not answer"
}

# The sign-in lies in memory, for as long as the pull takes.
pull() {
  local i why
  docker image inspect "$IMAGE" >/dev/null 2>&1 && return
  export DOCKER_CONFIG=$SIGNED
  for i in 0 1 2 3 4; do
    install -d -m 0700 "$SIGNED"
    why=sign_in
    if sign_in >/dev/null 2>"$STATE/err"; then
      why=pull
      timeout 900 docker pull -q "$IMAGE" 2>"$STATE/err" && why=''
    fi
    rm -rf "$SIGNED"
    [ -n "$why" ] || return
    say "$why failed: $(clean <"$STATE/err")"
    sleep "$((PAUSE * 2 ** i))"
  done
  grep -q 'no space left' "$STATE/err" && fail disk_full "the disk is too small for the image"
  [ "$why" = pull ] || fail sign_in "the registry $REGISTRY refused this machine"
  fail pull "the image could not be pulled"
}

# What the later calls need lies on the disk, for they may come after a restart of the machine.
settle() {
  install -m 0755 "$0" "$HOME_DIR/boot.sh" &&
    printf '%s\n' "${CLOUD_ENV[@]}" "${VARIABLES[@]}" >"$HOME_DIR/env" &&
    unit watch always 0 '' +console && units_of_mode && systemctl daemon-reload
} 2>"$STATE/err"

# However the first boot ends, it ends in a start or in a report.
broken() { [ -e "$HOME_DIR/started" ] || [ -e "$STATE/failing" ] || fail boot_broken "the first boot ended early"; }

first_boot() {
  local name
  trap broken EXIT
  trap 'exit 143' TERM INT HUP # a signal alone may end bash before it has come to what EXIT traps
  know || fail no_metadata "the metadata server does not answer"
  settle || fail not_settled "the script or its units could not be written"
  accept
  systemctl enable --now skylift-watch 2>"$STATE/err" || fail not_settled "systemd does not start units"
  [ -z "$GPU" ] || driver
  engine
  pull
  for name in ${AGENT:+agent} "$JOB"; do
    systemctl enable --now "skylift-$name" 2>"$STATE/err" || fail not_started "skylift-$name does not start"
  done
  : >"$HOME_DIR/started"
  say "started ${RUN:-$ENDPOINT} on $MACHINE"
}

# Name, user, then what docker run takes. The root file system is read-only and no right is left; what must be written goes to
# /tmp or to a folder that is given. Output goes to the journal with the unit's.
container() {
  local name=$1 user=$2 logs=(--log-driver none)
  shift 2
  [ -z "$LOGS" ] || log_options "$name"
  docker rm -f "skylift-$name" >/dev/null 2>&1
  exec docker run --rm --pull never --name "skylift-$name" --network host --read-only --tmpfs /tmp --cap-drop ALL \
    --security-opt no-new-privileges --user "$user" --ulimit nofile=65536 --ulimit memlock=-1 "${logs[@]}" \
    --env-file "$HOME_DIR/env" -e "SKYLIFT_MACHINE=$MACHINE" -e HOME=/tmp "$@"
}

# A folder of a container's user.
folder() { mkdir -p "$1" && chmod 0700 "$1" && chown "$2" "$1"; }

# SIGTERM, and as long as there is to save: after a notice only what the cloud leaves us.
stop() { docker stop -t "$(cat "$STATE/grace" 2>/dev/null || echo 300)" "skylift-$1"; }

watch() {
  local found
  while :; do
    if found=$(notice); then
      if [ ! -e "$STATE/notice" ]; then
        say "this machine is taken away: $found"
        echo "$GRACE" >"$STATE/grace"
        printf '%s\n' "$found" >"$STATE/notice"
        systemctl stop "skylift-$JOB"
        acknowledge "$found"
      fi
    elif [ -e "$STATE/notice" ]; then
      say "the notice was withdrawn"
      rm -f "$STATE/notice" "$STATE/grace"
      systemctl start "skylift-$JOB"
    fi
    tend
    sleep "$NAP"
  done
}

enter() {
  mkdir -p "$HOME_DIR" "$STATE" "$UNITS"
  : >>"$STATE/err"
  if [ $# = 0 ]; then
    first_boot
    exit
  fi
  know || exit 1
  case $1 in
    watch) watch ;;
    stop) stop "$2" ;;
    ended) echo "${EXIT_STATUS:-}" >"$STATE/ended-$2" ;;
    *) "start_$1" ;;
  esac
}
