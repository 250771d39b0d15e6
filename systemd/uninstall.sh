#!/bin/sh
# Remove what `make install` wrote. Configuration, data and files of the operator's stay.
set -eu
prefix=${PREFIX:-/opt/gateway}
dest=${DESTDIR:-}
units=$dest/etc/systemd/system
generated=10-gateway-generated.conf
running() { [ -z "$dest" ] && [ -d /run/systemd/system ]; }

if running; then
    systemctl disable --now gateway.socket gateway-admin.socket gateway@blue.service gateway@green.service 2>/dev/null || true
fi
rm -rf "$dest$prefix/versions" "$dest$prefix/venv"
rm -f "$dest$prefix/current" "$dest/usr/local/bin/gateway" "$dest/etc/letsencrypt/renewal-hooks/deploy/gateway" \
    "$dest/etc/nginx/sites-available/gateway" "$dest/etc/nginx/sites-enabled/gateway"
for unit in gateway@.service gateway.socket gateway-admin.socket; do
    rm -f "$units/$unit" "$units/$unit.d/$generated"
    rmdir "$units/$unit.d" 2>/dev/null || true
done
rmdir "$dest$prefix" 2>/dev/null || true
if running; then
    systemctl daemon-reload
    systemctl reload nginx 2>/dev/null || true
fi
echo "removed. These stay:"
for path in "$dest/etc/gateway" "$dest/var/lib/gateway" "$dest$prefix" "$units"/gateway*.d; do
    [ -e "$path" ] || continue
    name=${path#"$dest"}
    case $name in
        /etc/gateway) echo "  $name  configuration and credentials" ;;
        /var/lib/gateway) echo "  $name  ledger with keys, budgets and usage, and state" ;;
        *) echo "  $name  files of your own" ;;
    esac
done
