# A machine of a run group: the run that its tags name, until that is over, its time is, or something fails; then it is removed.
JOB=run
SINCE=$(date +%s)
BUSY=$SINCE SEEN=0 TOLD=$SINCE

place_of_report() { echo "live/${RUN:-_boot}/boot-$MACHINE.json"; }

# Removes this machine by its id. Rights may take minutes to reach every server, so it asks more than once. What was accepted and
# did not happen is switched off after five minutes all the same.
give_up() {
  local i
  for i in 1 2 3 4 5; do
    if [ -n "$ID" ] && remove; then
      say "removed this machine, $ID"
      shutdown -h +5
      exit 0
    fi
    sleep "$((PAUSE * 4 * i))"
  done
  say "this machine could not be removed and is switched off; on Azure it is billed until its group is removed"
  shutdown -h now
  exit 1
}

accept() {
  if [[ ! $RUN =~ ^[0-9]{8}t[0-9]{6}-[0-9a-f]{6}$ ]]; then
    RUN=''
    fail no_run "the machine's tags name no run"
  fi
  (($(date +%s) < UNTIL)) || fail past_end "the run group is past its end"
  collect &
}

# A restart helps neither a recipe that breaks its contract nor a run that ended without a model: exit codes of skylift.errors.
units_of_mode() {
  [ -z "$AGENT" ] || unit agent on-failure 3600 '' ''
  unit run on-failure 3600 '3 4 5 7 9 10' ''
}

# Reaches the metadata server, hands out credentials in /run/skylift, says there when it is ready; see docs/boot.md.
start_agent() {
  rm -rf "$STATE/agent"
  folder "$STATE/agent" 10002
  container agent 10002 -v "$STATE/agent:/run/skylift" -v "$STATE:/run/host:ro" -e "SKYLIFT_ID=$ID" -e "SKYLIFT_GROUP=$GROUP" \
    -e "SKYLIFT_UNTIL=$UNTIL" "$IMAGE" agent --run "$KEEP/runs/$RUN"
}

# The run shares the host's network, as NCCL between machines needs, so a hop limit would not hold it: its user is kept from the
# metadata servers instead. Names are asked at the same addresses on Google and Azure.
guard() {
  local rule
  rule=(OUTPUT -p tcp ! --dport 53 -m owner --uid-owner 10001 -j REJECT -d)
  guard4 169.254.169.254 && guard4 168.63.129.16 || return 1
  [ ! -e /proc/net/if_inet6 ] || { guard6 fd00:ec2::254 && guard6 fd20:ce::254; }
}
guard4() { iptables -w -C "${rule[@]}" "$1" 2>/dev/null || iptables -w -I "${rule[@]}" "$1"; }
guard6() { ip6tables -w -C "${rule[@]}" "$1" 2>/dev/null || ip6tables -w -I "${rule[@]}" "$1"; }

start_run() {
  local more=()
  if [ -n "$AGENT" ]; then
    guard || exit 1
    until [ -e "$STATE/agent/ready" ]; do
      (($(date +%s) < SINCE + AGENT_WAIT)) || exit 1
      sleep "$PAUSE"
    done
    more=(-v "$STATE/agent:/run/skylift:ro")
    [ ! -s "$STATE/agent/run.env" ] || more+=(--env-file "$STATE/agent/run.env")
  fi
  rm -rf "$HOME_DIR/scratch"
  folder "$HOME_DIR/scratch" 10001
  container run 10001 ${GPU:+--gpus all} --shm-size 8g -v "$HOME_DIR/scratch:/scratch" -e TMPDIR=/scratch "${more[@]}" \
    "$IMAGE" run --run "$KEEP/runs/$RUN"
}

state() { systemctl is-active "skylift-$1"; }

# The agent may still have the whole group to remove, which takes this machine with it.
linger() {
  local i
  [ -n "$AGENT" ] || return
  for ((i = 0; i < 60; i++)); do
    case $(state agent) in active | activating) sleep "$PAUSE" ;; *) return ;; esac
  done
}

# GPUs that nobody uses are billed all the same: each five minutes, how long ago one of them last did something.
gpus() {
  local use now=$1
  ((now >= SEEN + 12 * PAUSE)) || return
  SEEN=$now
  use=$(timeout 20 nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits | sort -n | tail -n 1)
  [[ $use =~ ^[0-9]+$ ]] || return
  ((use < 5)) || BUSY=$now
  ((now >= TOLD + 60 * PAUSE)) || return
  TOLD=$now
  tell "{\"event\":\"gpu\",\"run\":\"$RUN\",\"idle_minutes\":$(((now - BUSY) / 60))}"
}

# One look at what may end this machine's life. Nothing else decides it, and it begins before anything else can hang.
tend() {
  local now code
  now=$(date +%s)
  if ((now >= UNTIL)); then
    systemctl stop skylift-run
    : >"$STATE/err"
    report end_time "the machine's time is over"
    linger
    give_up
  fi
  if [ ! -e "$HOME_DIR/started" ]; then
    ((now < SINCE + DRIVER + 3600)) || fail boot_hung "the first boot did not finish"
    return
  fi
  [ ! -e "$STATE/notice" ] || return
  [ -z "$GPU" ] || gpus "$now"
  case $(state run) in
    inactive | failed)
      code=$(cat "$STATE/ended-run" 2>/dev/null || echo unknown)
      say "the run ended with exit code $code"
      [ "$code" = 0 ] || report run_ended "the run ended with exit code $code"
      linger
      give_up
      ;;
  esac
  [ -n "$AGENT" ] || return
  [ "$(state agent)" != failed ] || fail agent_failed "the host agent does not stay up"
  [ -e "$STATE/agent/ready" ] || ((now < SINCE + AGENT_WAIT)) ||
    (($(stat -c %Y "$HOME_DIR/started") > now - AGENT_WAIT)) ||
    fail agent_not_ready "the host agent was not ready within $AGENT_WAIT s"
}
