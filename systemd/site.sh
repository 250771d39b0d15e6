# nginx's site and certbot's hook; part of activate.sh.
site=$dest/etc/nginx/sites-available/gateway
enabled=$dest/etc/nginx/sites-enabled/gateway
hooks=$dest/etc/letsencrypt/renewal-hooks/deploy
domain=${DOMAIN:-}
[ -n "$domain" ] || domain=$(sed -n 's/^# The gateway behind TLS on \(.*\)\. [GW][a-z]* by .*/\1/p' "$site" 2>/dev/null || true)  # there may be none
[ -n "$domain" ] || domain=$(hostname -f 2>/dev/null || hostname)

again="make install"
[ ! -e "$dest/usr/share/gemini-openai-gateway/VERSION" ] || again="dpkg-reconfigure gemini-openai-gateway"

body=33554432
if live; then
    body=$("$python" -I -c 'from gateway.config.source import read_file; from gateway.policy.load.admission import LimitsConfig; from pathlib import Path
print(read_file(Path("/etc/gateway/gateway.yaml")).decode(LimitsConfig, at=("limits",)).body)')
fi

install -d -m 755 "$hooks"
sed "s|@DOMAIN@|$domain|g" "$share/systemd/certbot-hook.sh" >"$hooks/gateway"
chmod 755 "$hooks/gateway"
if [ -d "$dest/etc/nginx" ] || ! live; then
    install -d "$(dirname "$site")" "$(dirname "$enabled")" "$etc/nginx.d"
    sed -e "s|@DOMAIN@|$domain|g" -e "s|@BODY@|$body|g" "$share/config/nginx.conf" >"$temporary/site"
    cmp -s "$temporary/site" "$site" || install -m 644 "$temporary/site" "$site"
    for file in fullchain.pem privkey.pem; do
        certificate=/etc/letsencrypt/live/$domain/$file
        [ -e "$etc/tls/$file" ] || [ ! -e "$dest$certificate" ] || ln -s "$certificate" "$etc/tls/$file"
    done
    if [ -e "$etc/tls/fullchain.pem" ] && [ -e "$etc/tls/privkey.pem" ]; then
        [ "$(readlink "$enabled")" = /etc/nginx/sites-available/gateway ] || ln -sf /etc/nginx/sites-available/gateway "$enabled"
        ! running || sh "$share/systemd/nginx.sh" "$domain"
        echo "served on https://$domain"
    else
        echo "no certificate yet. Get one:"
        echo "  certbot certonly --webroot -w /var/www/html -d $domain"
        echo "or put fullchain.pem and privkey.pem of your own into /etc/gateway/tls (docs/do/behind-nginx.md). Then:"
        echo "  $again"
    fi
else
    echo "nginx is not installed: the gateway listens only on /run/gateway.sock (apt-get install nginx, then $again)"
fi
