say "config/Caddyfile, with a certificate of Caddy's own CA"
shell 'DEBIAN_FRONTEND=noninteractive apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq caddy >/dev/null 2>&1
caddy version; systemctl stop nginx; usermod -aG www-data caddy
sed "s/gateway.example.com/gateway.test/; /^gateway.test {/a tls internal" gateway/config/Caddyfile >/etc/caddy/Caddyfile
caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile >/dev/null 2>&1 && systemctl restart caddy'
shell 'root=/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt
for _ in $(seq 100); do ! test -e $root || ! curl -sf --cacert $root https://gateway.test/healthz || break; sleep 0.1; done
ask() { curl -s --cacert $root -o /root/answer -w "%{http_code}" "$@"; }
test "$(ask https://gateway.test/healthz)" = 200 && test "$(ask https://gateway.test/metrics)" = 404 && test "$(ask http://gateway.test/v1/models)" = 403
env SSL_CERT_FILE=$root client/bin/python gateway/tests/vps/client.py chat
systemctl stop gateway.socket gateway-admin.socket "gateway@*"
test "$(ask -H "x-goog-api-key: AQ.CanaryInAHeader" "https://gateway.test/v1beta/models?key=AQ.CanaryInAQuery")" = 503; cat /root/answer; echo
gateway roll
systemctl disable --quiet --now caddy; systemctl start nginx'
until_status /healthz 200
