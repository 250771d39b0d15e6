say "a backup while the service runs, and its restore"
shell 'file=/root/backup.tar
stop() { systemctl stop gateway.socket gateway-admin.socket "gateway@*"; }
gateway backup $file | grep "^ledger: " && test "$(stat -c %a $file)" = 600
gateway keys add late >/dev/null 2>&1
gateway restore $file && exit 1   # the service has the files open
stop
rm /var/lib/gateway/ledger.db
gateway restore $file
test "$(stat -c "%a %u" /var/lib/gateway/ledger.db)" = "600 $(stat -Lc %u /var/lib/gateway)"
gateway roll
gateway keys list | grep " ada "
gateway keys list | grep " late " && exit 1
gateway check --stores
gateway --version | grep -vF unknown'
say "a ledger of a newer version: a rollback is refused before anything stops, and says the way back"
before=$(serving)
shell '/opt/gateway/current/bin/python -c "import sqlite3; c = sqlite3.connect(\"/var/lib/gateway/ledger.db\"); c.execute(\"UPDATE ledger SET value = 99 WHERE name = \x27version\x27\"); c.commit()"
version=$(gateway --version)
gateway rollback >out 2>&1 && exit 1; cat out
grep -q "newer gateway.*gateway restore" out
grep -q "nothing was changed" out
test "$(gateway --version)" = "$version"
gateway roll && exit 1
gateway check 2>&1 | grep "newer gateway"'
[ "$(serving)" = "$before" ]
client chat
shell 'systemctl stop gateway.socket gateway-admin.socket "gateway@*" && gateway restore /root/backup.tar --only ledger && gateway roll'
client team
