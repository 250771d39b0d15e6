#!/bin/sh
# Install the gateway from this checkout, or remove it with --uninstall. Called by make. It can be run again.
#   PREFIX   directory of the Python environment (/opt/gateway)   DOMAIN   server name in nginx
#   DESTDIR  write the files below it, without an environment and without changes to systemd and nginx
set -eu
umask 022  # the service runs as another user, and must read the files whatever umask root has
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/opt/gateway}
dest=${DESTDIR:-}
domain=${DOMAIN:-$(hostname -f 2>/dev/null || hostname)}
units=$dest/etc/systemd/system
etc=$dest/etc/gateway
bin=$dest/usr/local/bin
site=$dest/etc/nginx/sites-available/gateway
enabled=$dest/etc/nginx/sites-enabled/gateway

die() { echo "install: $*" >&2; exit 1; }
live() { [ -z "$dest" ]; }
running() { live && [ -d /run/systemd/system ]; }
[ -n "$dest" ] || [ "$(id -u)" = 0 ] || die "run it as root, or with DESTDIR=... to write the files elsewhere"

if [ "${1:-}" = --uninstall ]; then
    if running; then
        systemctl disable --now gateway.socket gateway-admin.socket gateway@blue.service gateway@green.service 2>/dev/null || true
    fi
    rm -rf "$bin/gateway" "$units/gateway-admin.socket" "$units/gateway.socket" "$units/gateway@.service" "$units/gateway@.service.d" "$site" "$enabled" "$dest$prefix/venv"
    rmdir "$dest$prefix" 2>/dev/null || true
    if running; then
        systemctl daemon-reload
        systemctl reload nginx 2>/dev/null || true
    fi
    echo "removed; the configuration is still in /etc/gateway"
    exit 0
fi

if live; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "needs Python 3.11 or newer, this is $(python3 -V)"
    python3 -c 'import ensurepip, venv' 2>/dev/null || die "Python's venv module is missing: apt-get install python3-venv"
    [ -x "$prefix/venv/bin/python" ] || python3 -m venv "$prefix/venv"
    "$prefix/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
    "$prefix/venv/bin/pip" uninstall --quiet --yes gemini-gateway 2>/dev/null || true  # the distribution's earlier name
    "$prefix/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
    rm -rf build gemini_openai_gateway.egg-info
    # Python runs each line of a .pth file that begins with import, at each start, also with -I.
    unknown=$(find "$prefix/venv" \( -name '*.pth' ! -name distutils-precedence.pth \) -o -name sitecustomize.py -o -name usercustomize.py)
    [ -z "$unknown" ] || die "unknown code that Python runs at each start: $unknown"
fi

install -d -m 755 "$etc" "$units/gateway@.service.d"
install -d -m 700 "$etc/credentials" "$etc/tls"
[ -e "$etc/gateway.yaml" ] || install -m 644 config/gateway.yaml "$etc/gateway.yaml"
install -m 644 config/gateway.schema.json "$etc/gateway.schema.json"
install -m 644 systemd/gateway.socket systemd/gateway-admin.socket "$units/"
install -d -m 755 "$bin"
sed "s|@PREFIX@|$prefix|g" systemd/gateway.sh >"$bin/gateway" && chmod 755 "$bin/gateway"
sed "s|@PREFIX@|$prefix|g" systemd/gateway@.service >"$units/gateway@.service"

# Resolvers on private addresses must be reachable through the unit's IP filter.
resolvers=$(awk '$1 == "nameserver" {print $2}' /etc/resolv.conf 2>/dev/null | tr '\n' ' ' || true)
printf '[Service]\n# Resolvers of this machine, from /etc/resolv.conf. Add proxies, Redis and databases on private addresses here.\nIPAddressAllow=%s\n' \
    "$resolvers" >"$units/gateway@.service.d/10-addresses.conf"

if running; then
    systemctl daemon-reload
    systemctl enable --quiet gateway.socket gateway-admin.socket gateway@blue.service
    systemctl start gateway.socket gateway-admin.socket
    systemctl restart gateway@blue.service
    echo "gateway@blue is $(systemctl is-active gateway@blue.service) on /run/gateway.sock, for https://$domain"
fi

body=33554432
live && body=$("$prefix/venv/bin/python" -I -c 'from gateway.config.source import read_file; from gateway.policy.admission import LimitsConfig; from pathlib import Path
print(read_file(Path("/etc/gateway/gateway.yaml")).decode(LimitsConfig, at=("limits",)).body)')
if [ -d "$dest/etc/nginx" ] || ! live; then
    install -d "$(dirname "$site")" "$(dirname "$enabled")"
    sed -e "s|@DOMAIN@|$domain|g" -e "s|@BODY@|$body|g" config/nginx.conf >"$site"
    if [ -e "$etc/tls/fullchain.pem" ] && [ -e "$etc/tls/privkey.pem" ]; then
        ln -sf /etc/nginx/sites-available/gateway "$enabled"
        if running; then
            nginx -t -q || die "nginx rejects its configuration; the gateway itself is installed"
            systemctl reload-or-restart nginx
        fi
    else
        echo "no certificate: put fullchain.pem and privkey.pem (or links to them) into /etc/gateway/tls and run this again."
        echo "to get one:  certbot certonly --webroot -w /var/www/html -d $domain"
    fi
else
    echo "nginx is not installed: the gateway listens only on /run/gateway.sock (apt-get install nginx, then run this again)"
fi
