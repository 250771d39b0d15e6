#!/usr/bin/env bash
# make test-clients: unmodified SDKs and agents against the gateway on its emulator.
# Their drivers and their installer lie beside the checkout (../shared/clients); CLIENTS names where they are kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
drivers=${DRIVERS:-../shared/clients}
export CLIENTS=${CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/gateway-clients}
export ANTHROPIC_LOG=
[ -d "$CLIENTS" ] || "$drivers/install.sh" "$CLIENTS" all
folder=$(mktemp -d)
trap 'kill $fake $gateway 2>/dev/null || true; rm -rf "$folder"' EXIT
port() { .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
up=$(port) gw=$(port)
# The drivers expect a 404 for a model that does not exist; shipped, such a name becomes the default model.
sed 's/unknown: default/unknown: reject/' config/gateway.yaml > "$folder/gateway.yaml"
.venv/bin/python -m gateway fake --listen "127.0.0.1:$up" >"$folder/fake.log" 2>&1 & fake=$!
.venv/bin/python -m gateway serve --config "$folder/gateway.yaml" --listen "127.0.0.1:$gw" \
  --upstream "http://127.0.0.1:$up" 2>"$folder/gateway.log" & gateway=$!
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$gw") 2>/dev/null && break; sleep 0.1; done
export BASE_URL=http://127.0.0.1:$gw/v1 API_KEY=sk-good MODEL=${MODEL:-gemini-3.5-flash} SPEC=${SPEC:-../shared/replay/specs/openai.json}
code=0
"$drivers/run_all.sh" "${@:-all}" | tee "$folder/out" || code=$?
echo "$(grep -c ^PASS "$folder/out") passed, $(grep -c ^FAIL "$folder/out") failed, $(grep -c ^SKIP "$folder/out") skipped"
exit $code
