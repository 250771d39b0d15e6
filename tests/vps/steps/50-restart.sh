say "a restart with a broken file: the sockets stay, clients get 503 with Retry-After"
unit=$(serving)
shell 'cp /etc/gateway/gateway.yaml good.yaml; echo "modles: {}" >>/etc/gateway/gateway.yaml'
inside systemctl restart "$unit"
until_status /healthz 503
shell 'cat answer; echo; curl -si --cacert /etc/gateway/tls/ca.pem https://gateway.test/v1/models | grep -i ^retry-after'
inside journalctl -o cat -n 20 -u "$unit" | grep "unknown key 'modles'"
refuses inside systemctl reload "$unit"
inside systemctl status --no-pager "$unit" | grep 'Status:'
[ "$(inside systemctl is-active gateway.socket gateway-admin.socket | sort -u)" = active ]
say "the corrected file is taken over by itself"
inside cp good.yaml /etc/gateway/gateway.yaml
until_status /healthz 200

say "a crash with a broken file, then any number of restarts: the sockets stay"
shell 'echo "modles: {}" >>/etc/gateway/gateway.yaml'
inside systemctl kill -s KILL "$unit"
until_status /healthz 503
inside cp good.yaml /etc/gateway/gateway.yaml
inside systemctl reload "$unit"
[ "$(status /healthz)" = 200 ]
shell "for _ in \$(seq 12); do systemctl restart $unit; done"
until_status /healthz 200
[ "$(inside systemctl is-active gateway.socket gateway-admin.socket "$unit" | sort -u)" = active ]

say "restarts during requests"
client load & running=$!
sleep 2
for _ in 1 2; do inside systemctl restart "$unit"; sleep 1; done
wait "$running"
