say "the Debian package, where make uninstall has left configuration and data: install"
now=$(date +%s)
for commit in aaaaaaaaaa bbbbbbbbbb; do
  package $commit $((now += 60))
  $server put "$(echo "$bundle/$commit"/*.deb)" "/root/$commit.deb"
done
commit() { case $(inside gateway --version) in *"$1"*) ;; *) die "gateway --version is $(inside gateway --version), not $1" ;; esac; }
inside env DOMAIN=gateway.test dpkg --force-confold --install /root/aaaaaaaaaa.deb
shell 'sed -i "s|^ExecStart=[^ ]*|ExecStart=$(readlink -f /opt/gateway/current)/bin/python|" /etc/systemd/system/fake.service
systemctl daemon-reload && systemctl restart fake nginx'
commit aaaaaaaaaa
client chat

say "an upgrade of the package under load, and back; nginx is not reloaded"
before=$(workers)
load dpkg --force-confold --install /root/bbbbbbbbbb.deb
[ "$(workers)" = "$before" ]
commit bbbbbbbbbb
client chat
inside gateway rollback
commit aaaaaaaaaa
client chat

say "remove keeps configuration and data, purge deletes them"
shell 'dpkg --remove gemini-openai-gateway && test -e /etc/gateway/gateway.yaml && test -d /var/lib/gateway/
! test -e /opt/gateway && ! test -e /usr/local/bin/gateway && ! systemctl is-active --quiet gateway.socket'
shell 'dpkg --purge gemini-openai-gateway && ! ls /etc/gateway /var/lib/gateway /var/lib/private/gateway /usr/share/gemini-openai-gateway 2>/dev/null'
