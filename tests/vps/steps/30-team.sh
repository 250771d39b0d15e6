say "a key from root's shell, before the service has a ledger"
shell 'sed "s|^  # url: ledger.db.*|  url: ledger.db|" /etc/gateway/gateway.yaml >with-ledger.yaml
gateway keys add bob --config with-ledger.yaml >/root/bob 2>/dev/null && rm with-ledger.yaml'

say "a team, by the blocks of docs/start/team.md"
printf 'hush-canary' | inside tee /etc/gateway/credentials/admin-token >/dev/null
page docs/start/team.md "Set up" | tee "$bundle/page.out"
grep -o 'sk-gw-[A-Za-z0-9_-]*' "$bundle/page.out" | inside tee /root/ada >/dev/null
grep -q '"blue"' "$bundle/page.out"   # the admin listener's pool
KEY=$(inside cat /root/ada) page docs/start/team.md "The first answer" | tee "$bundle/page.out"
grep -q '"object": *"chat.completion"' "$bundle/page.out"
grep -q '"name": *"ada"' "$bundle/page.out"

say "keys, the admin socket and usage, after one more installation"
shell 'cd gateway && make install >/dev/null'
client team
shell 'gateway usage --by client,project --format csv | grep ",blue,"
admin() { curl -sf --unix-socket /run/gateway-admin.sock -H "Authorization: Bearer $1" "http://admin$2"; }
admin hush-canary /admin/keys | grep -q ada && admin none /metrics | grep -q gateway_attempts_total && ! admin wrong /admin/keys
test "$(stat -c "%a %U" /run/gateway-admin.sock)" = "600 root" && test "$(stat -c "%a" /var/lib/gateway/ledger.db)" = 600'
