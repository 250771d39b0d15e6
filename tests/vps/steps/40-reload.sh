say "reload with credentials: a good file is taken over"
shell "sed -i 's|^  aliases: {}.*|  aliases: {walk: gemini-2.5-flash}|' /etc/gateway/gateway.yaml"
page docs/do/run.md "Change the configuration"
inside systemctl reload "$(serving)"
inside journalctl -o cat -n 20 -u "$(serving)" | grep -A 1 'reload: done'

say "a broken file is refused: systemctl reload says so, the mistake is in the journal, and nothing changes"
shell 'cp /etc/gateway/gateway.yaml good.yaml; echo "modles: {}" >>/etc/gateway/gateway.yaml'
refuses inside systemctl reload "$(serving)"
inside journalctl -o cat -n 20 -u "$(serving)" | grep "unknown key 'modles'"
refuses inside gateway reload
[ "$(status /healthz)" = 200 ]
[ "$(inside systemctl is-active "$(serving)")" = active ]

say "a roll with a broken file starts nothing"
before=$(serving)
refuses inside gateway roll
[ "$(serving)" = "$before" ]
shell 'cp good.yaml /etc/gateway/gateway.yaml && gateway reload'

say "a credential that is added needs a roll, and the reload says so"
shell 'umask 077; printf AQ.CanaryTwo >/etc/gateway/credentials/gemini-red
sed -i "s|credential: gemini-blue}\]|credential: gemini-blue}, {credential: gemini-red}]|" /etc/gateway/gateway.yaml'
refuses inside gateway reload
shell 'gateway roll && gateway reload'
client team

say "a variable for {env: NAME}"
shell 'echo ROOM=canary-variable >>/etc/gateway/environment
sed -i "s|^admin: .*|admin: {token: {env: ROOM}}|" /etc/gateway/gateway.yaml && gateway roll
curl -sf --unix-socket /run/gateway-admin.sock -H "Authorization: Bearer canary-variable" http://admin/admin/keys >/dev/null
sed -i "s|^admin: .*|admin: {token: {credential: admin-token}}|" /etc/gateway/gateway.yaml && gateway roll'
