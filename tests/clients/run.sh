#!/usr/bin/env bash
# run.sh [DRIVER...]: unmodified SDKs and agents against the gateway on its emulator (make test-clients). See README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=tests/clients
python=${PYTHON:-.venv/bin/python}
clients=${CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/gateway-clients}
[ $# -gt 0 ] || mapfile -t all < <(awk '!/^#/ { print $1 }' $here/clients.txt)
drivers=("${@:-${all[@]}}")
export SMALL_MODEL=gemini-3.1-flash-lite=32000   # a model of which the emulator takes less than others, to overflow it
logs=$(mktemp -d)
fake= gateway=
stop() { for pid in $gateway $fake; do kill "$pid" 2>/dev/null || true; done; }
trap stop EXIT

free_port() { $python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

wait_for() {
  for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done
  echo "nothing listens on port $1; the logs: $logs" >&2
  return 1
}

start_gateway() {
  local upstream_port port
  upstream_port=$(free_port)
  $python -m gateway fake --listen "127.0.0.1:$upstream_port" --script $here/script.yaml \
    --input-limit "$SMALL_MODEL" > "$logs/emulator.log" 2>&1 & fake=$!
  wait_for "$upstream_port"
  port=$(free_port)
  # The drivers expect a 404 for a model that does not exist. As shipped, such a name becomes the default model.
  # Two projects serve an issued key, and clients' own keys are passed on.
  sed -e 's/unknown: default/unknown: reject/' -e "s|^  files: {}|  files: {path: $logs/files}|" \
    -e "s|^  batches: {}|  batches: {path: $logs/batches, poll: 0.5, longest_poll: 1}|" \
    -e 's/^  projects: \[\]/  projects: [{name: a, keys: [{env: KEY_A}]}, {name: b, keys: [{env: KEY_B}]}]/' \
    -e "s|^ledger:|&\n  url: $logs/ledger.db|" config/gateway.yaml > "$logs/gateway.yaml"
  export KEY_A=AQ.project-a KEY_B=AQ.project-b
  ISSUED_KEY=$($python -m gateway keys add --config "$logs/gateway.yaml" clients 2> "$logs/keys.log" | grep -o 'sk-gw-[A-Za-z0-9_-]*' | head -1)
  export ISSUED_KEY
  $python -m gateway serve --config "$logs/gateway.yaml" --listen "127.0.0.1:$port" \
    --upstream "http://127.0.0.1:$upstream_port" > "$logs/gateway.log" 2>&1 & gateway=$!
  wait_for "$port"
  export BASE_URL=http://127.0.0.1:$port/v1 GATEWAY_LOG=$logs/gateway.log
}

run_driver() {
  local node
  export CLIENT_DIR=$clients/$1
  node=$CLIENT_DIR/node_modules/.bin/node   # a client that needs a newer one than is installed brings it
  [ -x "$node" ] || node=node
  case $1 in
    *_js) timeout 300 "$node" "$here/$1.mjs" ;;
    *_cli | *_web) timeout 600 $python -m "tests.clients.$1" ;;
    *_py) timeout 300 "$CLIENT_DIR/bin/python" -m "tests.clients.$1" ;;
  esac
}

code=0
$here/install.sh "$clients" "${drivers[@]}" | tee "$logs/results" || code=$?
[ -n "${BASE_URL:-}" ] || start_gateway
export PYTHONDONTWRITEBYTECODE=1 DO_NOT_TRACK=1
for driver in "${drivers[@]}"; do
  [ -e "$clients/$driver/.installed" ] || continue
  echo "== $driver"
  run_driver "$driver" 2> "$logs/$driver.log" | tee -a "$logs/results" || code=1
done
count() { grep -c "^$1 " "$logs/results" || true; }
echo "$(count PASS) passed, $(count FAIL) failed, $(count SKIP) skipped"
if [ $code = 0 ]; then rm -rf "$logs"; else echo "the logs: $logs"; fi
exit $code
