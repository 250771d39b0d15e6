#!/usr/bin/env bash
# make test-vps: install this checkout into a throw-away Debian with systemd and nginx, and operate it. See README.md.
# STEPS="10 60": only these of steps/, in their order (10 to 30 prepare the others). SUITE=trixie: Debian 13. KEEP=1: the
# server stays up after a failure, and RESUME=1 goes on with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
server=tests/vps/server.sh
export VPS_NAME=${VPS_NAME:-gateway-test}
inside() { $server exec "$@"; }
shell() { inside bash -ec "$1"; }
say() { echo; echo "== $*"; }
die() { echo "test-vps: $*" >&2; exit 1; }
client() { inside env SSL_CERT_FILE=/etc/gateway/tls/ca.pem client/bin/python gateway/tests/vps/client.py "$@"; }
load() { inside client/bin/python gateway/tests/vps/load.py "$@"; }
# A second server, with a network of its own.
second() { VPS_NAME=$VPS_NAME-second VPS_OPTIONS=--private-network $server "$@"; }
# page PAGE HEADING...: run the code blocks of a docs page, here or `on` another server; page.py has what is replaced in them.
page() { local code; code=$(python3 tests/vps/page.py "$@") && ${on:-inside} env KEY="${KEY:-}" bash -c "$code"; }
# package COMMIT SECONDS: build the Debian package into $bundle/COMMIT/.
package() {
  make -s .venv-dist/.made
  GATEWAY_COMMIT=$1 SOURCE_DATE_EPOCH=$2 .venv-dist/bin/python config/package/dist.py "$bundle/$1" deb >/dev/null
}
# The instance that serves, such as gateway@blue.service.
serving() { inside systemctl list-units --no-legend --plain --state=active 'gateway@*.service' | awk '{print $1; exit}'; }
# The processes of nginx that serve: a reload starts others.
workers() { shell 'pgrep -P "$(cat /run/nginx.pid)" | sort | tr "\n" " "'; }
# status PATH: the status of a request over TLS.
status() { shell "curl -s -o /root/answer -w '%{http_code}' --cacert /etc/gateway/tls/ca.pem https://gateway.test$1" || true; }
# until_status PATH STATUS: wait for it, for ten seconds.
until_status() { for _ in $(seq 100); do [ "$(status "$1")" != "$2" ] || return 0; sleep 0.1; done; die "no $2 on $1"; }
refuses() { if "$@"; then die "this should have failed: $*"; fi; }
finish() {
  [ "$1" = 0 ] || inside journalctl --no-pager -n 40 -u 'gateway@*' || true
  [ "$1" = 0 ] || [ -z "${KEEP:-}" ] || exit "$1"
  $server down || true
  second down || true
  rm -rf "$bundle"
}
[ -n "${RESUME:-}" ] || [ "$($server status)" = down ] || { echo "a server named $VPS_NAME is up: $server down" >&2; exit 2; }
bundle=$(mktemp -d)
trap 'finish $?' EXIT

[ -n "${RESUME:-}" ] || $server up
git ls-files -co --exclude-standard -z | tar cf - --null -T - | tar xf - -C "$bundle"
git describe --always --dirty --tags >"$bundle/gateway/commit.txt"   # the bundle is no checkout
inside rm -rf /root/gateway
$server put "$bundle" /root/gateway
for step in tests/vps/steps/*.sh; do
  number=$(basename "$step" | cut -d- -f1)
  case " ${STEPS:-$number} " in *" $number "*) . "$step" ;; esac
done
say passed
