say "a renewed certificate is served after certbot's hook"
serial() { shell 'openssl s_client -connect 127.0.0.1:443 -servername gateway.test </dev/null 2>/dev/null | openssl x509 -noout -serial'; }
before=$(serial)
inside bash /root/ca/renew
[ "$(serial)" = "$before" ]  # nginx has not read it yet
inside env RENEWED_LINEAGE=/etc/letsencrypt/live/gateway.test RENEWED_DOMAINS=gateway.test \
  run-parts --regex . /etc/letsencrypt/renewal-hooks/deploy
for _ in $(seq 50); do [ "$(serial)" = "$before" ] || break; sleep 0.1; done
echo "before: $before, after: $(serial)"
[ "$(serial)" != "$before" ]
