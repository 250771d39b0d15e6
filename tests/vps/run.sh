#!/usr/bin/env bash
# make test-vps: install this checkout into a throw-away Debian with systemd and nginx, and use it over TLS. See README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
server=tests/vps/server.sh
export VPS_NAME=gateway-test
inside() { $server exec "$@"; }
say() { echo "test-vps: $*"; }
finish() {
  [ "$1" = 0 ] || inside journalctl --no-pager -n 20 -u gateway@blue.service || true
  $server down || true
  rm -rf "$bundle"
}
[ "$($server status)" = down ] || { echo "a server named $VPS_NAME is up: $server down" >&2; exit 2; }
bundle=$(mktemp -d)
trap 'finish $?' EXIT

$server up
git ls-files -co --exclude-standard -z | xargs -0 tar cf - | tar xf - -C "$bundle"
git describe --always --dirty --tags >"$bundle/gateway/commit.txt"   # the bundle is no checkout
$server put "$bundle" /root/gateway

say "a throw-away CA for gateway.test"
inside bash -ec 'mkdir -p /etc/gateway/tls && cd /etc/gateway/tls
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=throw-away CA" -keyout ca.key -out ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=gateway.test -keyout privkey.pem -out csr.pem 2>/dev/null
openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out fullchain.pem \
  -extfile <(echo subjectAltName=DNS:gateway.test) 2>/dev/null'

say "make install, twice"
inside bash -ec 'cd gateway && make install DOMAIN=gateway.test && make install DOMAIN=gateway.test'
# The emulator takes Google's place on loopback, which the unit may not reach as installed.
inside bash -ec 'cat >/etc/systemd/system/fake.service <<U
[Service]
ExecStart=/opt/gateway/venv/bin/python -I -m gateway fake --listen 127.0.0.1:9091
[Install]
WantedBy=multi-user.target
U
printf "[Service]\nIPAddressAllow=localhost\n" >/etc/systemd/system/gateway@.service.d/20-test.conf
sed -i "s|base_url: .*|base_url: http://127.0.0.1:9091|" /etc/gateway/gateway.yaml
systemctl daemon-reload && systemctl enable --quiet --now fake nginx && systemctl restart gateway@blue nginx'

say "the official SDK over TLS"
inside bash -ec 'python3 -m venv client && client/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r gateway/requirements-dev.lock 2>/dev/null'
client() { inside env SSL_CERT_FILE=/etc/gateway/tls/ca.pem client/bin/python gateway/tests/vps/client.py "$@"; }
client chat

say "restarts during requests"
client load & load=$!
sleep 2
for _ in 1 2; do inside systemctl restart gateway@blue; sleep 1; done
wait "$load"

say "a reboot between a tool's call and its result"
client call
$server reboot
client chat
client result
inside bash -ec 'test "$(stat -c "%a" /var/lib/gateway/state.db)" = 600'

say "a team: credentials, keys from root's shell, the admin socket, usage"
inside bash -ec 'umask 077; printf AQ.CanaryPool >/etc/gateway/credentials/gemini-blue; printf hush-canary >/etc/gateway/credentials/admin-token
sed -i "s|^  projects: \[\].*|  projects: [{name: blue, keys: [{credential: gemini-blue}]}]|; s|^  # token: .*|  token: {credential: admin-token}|" /etc/gateway/gateway.yaml
gateway check && gateway keys add ada --requests-per-day 100 >/root/ada 2>/dev/null   # before the service has a ledger
systemctl restart gateway@blue
gateway keys add bob >/root/bob 2>/dev/null
cd gateway && make install DOMAIN=gateway.test >/dev/null'
client team
inside bash -ec 'gateway usage --by client,project --format csv | grep ",blue,"
admin() { curl -sf --unix-socket /run/gateway-admin.sock -H "Authorization: Bearer $1" "http://admin$2"; }
admin hush-canary /admin/keys | grep -q ada && admin none /metrics | grep -q gateway_attempts_total && ! admin wrong /admin/keys
test "$(stat -c "%a %U" /run/gateway-admin.sock)" = "600 root" && test "$(stat -c "%a" /var/lib/gateway/ledger.db)" = 600'

say "a backup while the service runs, and its restore"
inside bash -ec 'file=/root/backup.tar
gateway backup $file | grep "^ledger: " && test "$(stat -c %a $file)" = 600
gateway keys add late >/dev/null 2>&1
gateway restore $file && exit 1   # the service has the files open
systemctl stop gateway.socket gateway-admin.socket gateway@blue
rm /var/lib/gateway/ledger.db
gateway restore $file
test "$(stat -c "%a %u" /var/lib/gateway/ledger.db)" = "600 $(stat -Lc %u /var/lib/gateway)"
systemctl start gateway.socket gateway-admin.socket gateway@blue
gateway keys list | grep " ada "
gateway keys list | grep " late " && exit 1
gateway check --stores
gateway --version | grep -vF unknown
/opt/gateway/venv/bin/python -c "import sqlite3; c = sqlite3.connect(\"/var/lib/gateway/ledger.db\"); c.execute(\"UPDATE ledger SET value = 99 WHERE name = \x27version\x27\"); c.commit()"
gateway check && exit 1
gateway check 2>&1 | grep "newer gateway"
systemctl stop gateway.socket gateway-admin.socket gateway@blue
gateway restore $file --only ledger && systemctl start gateway.socket gateway-admin.socket gateway@blue'
client team

say "exposure"
score=$(inside systemd-analyze security --no-pager gateway@blue.service | sed -n 's/.*exposure level for gateway@blue.service: \([0-9.]*\).*/\1/p')
echo "systemd-analyze security: $score"
awk -v s="$score" 'BEGIN { exit !(s != "" && s <= 1.5) }'

say "no key in any log"
inside bash -ec '! { journalctl --no-pager; cat /var/log/nginx/*; } | grep -aE "AQ\.Canary|hush-canary|sk-gw-"'
inside systemctl is-active gateway@blue gateway.socket

say "make uninstall"
inside bash -ec 'cd gateway && make uninstall && ! test -e /run/systemd/units/invocation:gateway@blue.service && test -e /etc/gateway/gateway.yaml'
say passed
