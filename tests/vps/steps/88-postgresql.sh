say "the ledger moves to PostgreSQL, by docs/do/postgresql.md"
page docs/do/postgresql.md "Prepare the database"
inside psql --version
# What people see, and the rows themselves.
totals() { inside gateway keys list --json && inside gateway usage --by client,model,project --bucket day --format csv; }
rows='SELECT count(*), sum(micros), sum(prompt), sum(completion) FROM attempt;
SELECT client, unit, period, CAST(round(start) AS INTEGER), spent, reserved FROM budget ORDER BY 1, 2, 3, 4;
SELECT id, name, hash, CAST(round(created) AS INTEGER), rules FROM client_key ORDER BY id;'
in_sqlite() {
  printf %s "$rows" | inside python3 -c 'import sqlite3, sys
connection = sqlite3.connect("file:/var/lib/gateway/ledger.db?mode=ro", uri=True)
for query in sys.stdin.read().split(";")[:-1]:
    for row in connection.execute(query): print(*row, sep="|")'
}
in_postgresql() { printf %s "$rows" | inside runuser -u postgres -- sh -c "cd / && psql -qAt gateway"; }
client team
shell 'systemctl stop gateway.socket gateway-admin.socket "gateway@*"'
totals >"$bundle/before"
in_sqlite >"$bundle/rows"
cat "$bundle/rows"
page docs/do/postgresql.md "Move the ledger" | tee "$bundle/page.out"
grep -q '^client_key: [1-9][0-9]* rows, compared' "$bundle/page.out"
totals | diff "$bundle/before" -
in_postgresql | diff "$bundle/rows" -

say "the service writes there: calls, and what a budget has spent"
until_status /healthz 200
client team
KEY=$(inside cat /root/ada) page docs/start/team.md "The first answer"
calls() { in_postgresql | head -n 1 | cut -d '|' -f 1; }
before=$(head -n 1 "$bundle/rows" | cut -d '|' -f 1)
for _ in $(seq 50); do [ "$(calls)" -lt $((before + 4)) ] || break; sleep 0.1; done
[ "$(calls)" = $((before + 4)) ]
in_sqlite | diff "$bundle/rows" -
inside gateway keys list

say "its backup, and a restore"
shell 'rm -f /root/ledger-*.dump'
page docs/do/postgresql.md "Back up"
shell 'test "$(stat -c %a /root/ledger-*.dump)" = 600'
inside gateway keys add later >/dev/null 2>&1
page docs/do/postgresql.md "Restore"
[ "$(inside gateway keys list | grep -c " later ")" = 0 ]
client team

say "after a reboot the gateway waits for PostgreSQL"
$server reboot
client team
refuses shell 'journalctl -b -o cat -u "gateway@*" | grep "the ledger cannot be opened"'

say "without PostgreSQL a start answers 503 until it is there"
inside systemctl stop postgresql
inside systemctl restart "$(serving)"
until_status /healthz 503
inside systemctl start postgresql
until_status /healthz 200
client team
shell '! { journalctl --no-pager; cat /var/log/postgresql/*; } | grep -aqF "$(cat /etc/gateway/credentials/postgres)"'
