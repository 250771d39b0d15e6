say "$(inside sh -c '. /etc/os-release; echo "$PRETTY_NAME"'), $(inside systemctl --version | head -n 1)"
say "a throw-away CA for gateway.test, as certbot would leave its files"
shell 'mkdir -p /root/ca /etc/gateway/tls /etc/letsencrypt/live/gateway.test && cd /root/ca
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=throw-away CA" -keyout ca.key -out ca.pem -addext keyUsage=critical,keyCertSign 2>/dev/null
cp ca.pem /etc/gateway/tls/
cat >renew <<R
cd /root/ca
openssl req -newkey rsa:2048 -nodes -subj /CN=gateway.test -keyout /etc/letsencrypt/live/gateway.test/privkey.pem -out csr.pem 2>/dev/null
openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out /etc/letsencrypt/live/gateway.test/fullchain.pem \
  -extfile <(printf "subjectAltName=DNS:gateway.test\nauthorityKeyIdentifier=keyid") 2>/dev/null
R
bash renew'

say "make install"
shell 'cd gateway && make install DOMAIN=gateway.test'
[ "$(serving)" = gateway@blue.service ]

say "the emulator in Google's place, on loopback, which the operator's own drop-in allows"
shell 'cat >/etc/systemd/system/fake.service <<U
[Service]
ExecStart=$(readlink -f /opt/gateway/current)/bin/python -I -m gateway fake --listen 127.0.0.1:9091
[Install]
WantedBy=multi-user.target
U
printf "[Service]\nIPAddressAllow=localhost\n" >/etc/systemd/system/gateway@.service.d/20-test.conf
sed -i "s|base_url: .*|base_url: http://127.0.0.1:9091|" /etc/gateway/gateway.yaml
systemctl daemon-reload && systemctl enable --quiet --now fake nginx && gateway roll'
[ "$(serving)" = gateway@green.service ]

say "make install again: it rolls, and the operator's drop-in stays"
shell 'cd gateway && make install && grep -q localhost /etc/systemd/system/gateway@.service.d/20-test.conf'
shell 'ls -l /opt/gateway/ /opt/gateway/versions; gateway rollback --list; gateway --version'
