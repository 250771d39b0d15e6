say "exposure"
unit=$(serving)
score=$(inside systemd-analyze security --no-pager "$unit" | sed -n 's/.*exposure level for gateway@.*: \([0-9.]*\).*/\1/p')
echo "systemd-analyze security: $score"
awk -v s="$score" 'BEGIN { exit !(s != "" && s <= 1.1) }'

say "no key in any log"
shell '! { journalctl --no-pager; cat /var/log/nginx/*; } | grep -aE "AQ\.Canary|hush-canary|canary-variable|sk-gw-"'
inside systemctl is-active "$unit" gateway.socket
