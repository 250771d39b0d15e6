say "a team: credentials by a roll, keys from root's shell, the admin socket, usage"
shell 'umask 077; printf AQ.CanaryPool >/etc/gateway/credentials/gemini-blue; printf hush-canary >/etc/gateway/credentials/admin-token
sed -i "s|^  projects: \[\].*|  projects: [{name: blue, keys: [{credential: gemini-blue}]}]|" /etc/gateway/gateway.yaml
gateway check && gateway keys add ada --requests-per-day 100 >/root/ada 2>/dev/null   # before the service has a ledger
gateway roll
gateway keys add bob >/root/bob 2>/dev/null
cd gateway && make install >/dev/null'
client team
shell 'gateway usage --by client,project --format csv | grep ",blue,"
admin() { curl -sf --unix-socket /run/gateway-admin.sock -H "Authorization: Bearer $1" "http://admin$2"; }
admin hush-canary /admin/keys | grep -q ada && admin none /metrics | grep -q gateway_attempts_total && ! admin wrong /admin/keys
test "$(stat -c "%a %U" /run/gateway-admin.sock)" = "600 root" && test "$(stat -c "%a" /var/lib/gateway/ledger.db)" = 600'
