#!/usr/bin/env bash
# make soak-restarts: COUNT (100) rolling restarts of blue and green in a booted Debian, under 200 requests/s and 100 streams.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
server=tests/vps/server.sh
export VPS_NAME=gateway-soak
inside() { $server exec "$@"; }
[ "$($server status)" = down ] || { echo "a server named $VPS_NAME is up: $server down" >&2; exit 2; }
bundle=$(mktemp -d)
finish() {
  [ "$1" = 0 ] || inside journalctl --no-pager -n 20 -u 'gateway@*' || true
  $server down || true
  rm -rf "$bundle"
}
trap 'finish $?' EXIT
$server up
git ls-files -co --exclude-standard -z | tar cf - --null -T - | tar xf - -C "$bundle"
$server put "$bundle" /root/gateway
inside bash -ec 'cd gateway && make install DOMAIN=gateway.test >/dev/null
cat >/etc/systemd/system/fake.service <<U
[Service]
ExecStart=/opt/gateway/venv/bin/python -I -m gateway fake --listen 127.0.0.1:9091
U
printf "[Service]\nIPAddressAllow=localhost\n" >/etc/systemd/system/gateway@.service.d/20-test.conf
sed -i "s|base_url: .*|base_url: http://127.0.0.1:9091|" /etc/gateway/gateway.yaml
systemctl daemon-reload && systemctl start fake && systemctl restart gateway@blue'
inside env COUNT="${COUNT:-100}" bash -ec 'cd gateway && PYTHONPATH=. /opt/gateway/venv/bin/python -m tests.soak.restarts'
