# What the steps share. A line that begins with FACT is a figure of the test's table.

export JOULED_BROKER=mqtt://localhost
BASE=jouled/virtual-board

fact() { echo "FACT $*"; }

failed() {
  echo "FAILED: $*" >&2
  exit 1
}

# Seconds of CLOCK_BOOTTIME.
now() { cut -d' ' -f1 /proc/uptime; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

# within SECONDS WHAT COMMAND...: until the command succeeds.
within() {
  local seconds="$1" what="$2" end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || failed "waited $seconds s for $what"
    sleep 0.2
  done
}

# The first message of a topic, retained ones too.
message() { mosquitto_sub -V 5 -C 1 -W "$1" -t "$2"; }

property() { systemctl show -p "$1" --value "${2-jouled.service}"; }

# From exec to READY=1 of the service's present start, in ms.
ready_ms() {
  echo $((($(property ActiveEnterTimestampMonotonic) - $(property ExecMainStartTimestampMonotonic)) / 1000))
}

# Whether an event of this code has come since `listen`.
listen() {
  mosquitto_sub -V 5 -t "$BASE/events" >/tmp/events &
  trap 'kill $(jobs -p)' EXIT
}
event() { grep -q "\"code\":\"$1\"" /tmp/events; }

# job ID TOKENS [OPTION...]. No idle phases: they wait for power to settle, which a square wave
# never does.
job() {
  local id="$1" tokens="$2"
  shift 2
  joulectl submit --device virtual-board --id "$id" -m tiny.gguf -p 'Once upon a time' \
    -n "$tokens" --ignore-eos --warmup 0 --threads 1 --idle-before 0 --idle-after 0 --json "$@"
}

# Waits for a job's end and keeps its result for the host.
result() {
  within 300 "the result of $1" fetch_result "$1"
  grep -q '"state":"succeeded"' "out/$1.json" || failed "$1: $(head -c 600 "out/$1.json")"
}
fetch_result() {
  message 5 "$BASE/jobs/$1/result" >"out/$1.json" && [ -s "out/$1.json" ]
}

# Once a decode runs: its first tokens have left (publish.tokens = live).
decoding() {
  message 120 "$BASE/jobs/$1/tokens" >/dev/null || failed "no token of $1"
}
