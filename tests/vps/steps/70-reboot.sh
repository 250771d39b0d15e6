say "a reboot between a tool's call and its result: the right instance starts, and the sockets name it"
[ "$(serving)" != gateway@blue.service ] || inside gateway roll --wait
unit=$(serving)
client call
$server reboot
client chat
client result
[ "$(inside systemctl is-active gateway@blue.service gateway@green.service | tr '\n' ' ')" = "inactive active " ]
[ "$(inside systemctl show -p Triggers --value gateway.socket | grep -c "$unit")" = 1 ]
shell 'test "$(stat -c "%a" /var/lib/gateway/state.db)" = 600'
shell 'curl -sf --unix-socket /run/gateway-admin.sock http://admin/metrics >/dev/null'
