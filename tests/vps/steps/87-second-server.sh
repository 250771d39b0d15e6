say "a second, fresh server: the package, and what docs/do/backup-upgrade.md says to bring"
now_there() { second exec gateway "$@"; }
second down
package second "$(date +%s)"
shell 'rm -f /root/gateway-*.tar.gz'
page docs/do/backup-upgrade.md "Back up"
shell 'test "$(stat -c %a /root/gateway-*.tar.gz | uniq -c | tr -s " ")" = " 2 600"'
inside gateway keys list --json >"$bundle/keys"
inside gateway usage --by client,model,project --bucket day --format csv >"$bundle/usage"
uid=$(inside stat -Lc %u /var/lib/gateway/)

second up
# There the service's user cannot have the number that it has here. systemd 257 maps it: files belong to nobody (65534).
[ "$uid" = 65534 ] || second exec useradd --system --no-create-home --uid "$uid" other
second put "$(echo "$bundle"/second/*.deb)" /root/gateway.deb
second exec env DOMAIN=gateway.test dpkg --install /root/gateway.deb
for file in $(inside sh -c 'ls /root/gateway-*.tar.gz'); do inside cat "$file" | second exec tee "$file" >/dev/null; done
# certbot's certificate, the emulator, and the drop-in that allows loopback are this test's own
inside tar -C / -cf - etc/letsencrypt etc/systemd/system/fake.service etc/systemd/system/gateway@.service.d/20-test.conf | second exec tar -C / -xf -
second exec bash -ec 'sed -i "s|^ExecStart=[^ ]*|ExecStart=$(readlink -f /opt/gateway/current)/bin/python|" /etc/systemd/system/fake.service
systemctl daemon-reload; systemctl enable --quiet --now fake nginx'
on="second exec" page docs/do/backup-upgrade.md "On another server" "Restore"

say "there the same keys, what they have spent, and usage; the files belong to its own user"
now_there keys list --json | diff "$bundle/keys" -
now_there usage --by client,model,project --bucket day --format csv | diff "$bundle/usage" -
second exec bash -ec 'owner=$(stat -Lc %u /var/lib/gateway/); test "$owner" = 65534 || test "$owner" != '"$uid"'
ls -ln /var/lib/gateway/
for file in /var/lib/gateway/*.db*; do test "$(stat -c "%a %u" "$file")" = "600 $owner" || { echo "wrong owner or mode: $file"; exit 1; }; done'
for name in ada bob; do
  KEY=$(inside cat "/root/$name") on="second exec" page docs/start/team.md "The first answer" | tee "$bundle/page.out"
  grep -q '"object": *"chat.completion"' "$bundle/page.out"
  grep -q "\"name\": *\"$name\"" "$bundle/page.out"
done
now_there usage --by client,model,project --bucket day --format csv >"$bundle/later"
! diff "$bundle/usage" "$bundle/later" || die "the second server has not counted its own calls"
second down
