#!/bin/sh
# Let nginx start at boot, and reload it if its configuration or a certificate changed since its last start or reload; part
# of site.sh. A reload ends nginx's idle connections, and a client that uses one at that moment sees an error. Arguments: the
# site's domain.
set -eu
dest=${DESTDIR:-}
for path in /etc/nginx /etc/gateway/nginx.d /etc/gateway/tls "/etc/letsencrypt/live/$1"; do
    [ ! -e "$dest$path" ] || set -- "$@" "$dest$path"
done
shift

# True unless it is certain that nginx has read the files as they are. Links are followed; a folder's time of modification
# tells of links and files that were replaced or deleted.
changed() {
    systemctl is-active --quiet nginx || return 0
    loaded=$(systemctl show nginx --property=StateChangeTimestamp --value --timestamp=us+utc) && [ -n "$loaded" ] || return 0
    newer=$(find -L "$@" \( -type d -newermt "$loaded" -o ! -type d -newerct "$loaded" \) -print -quit) || return 0
    [ -n "$newer" ]
}

if [ "$(systemctl is-enabled nginx 2>/dev/null)" = disabled ]; then
    if systemctl enable --quiet nginx; then
        echo "nginx was not enabled: from now on it starts at boot"
    else
        echo "install: nginx does not start at boot: systemctl enable nginx" >&2
    fi
fi
changed "$@" || exit 0
nginx -t -q || { echo "install: nginx rejects its configuration; the gateway itself is installed" >&2; exit 1; }
systemctl reload-or-restart nginx
