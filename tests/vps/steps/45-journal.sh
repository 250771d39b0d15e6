say "metrics of the process, in the sandbox"
shell 'curl -sf --unix-socket /run/gateway-admin.sock http://admin/metrics >metrics
for name in cpu_seconds_total resident_memory_bytes virtual_memory_bytes open_fds max_fds start_time_seconds; do grep "^process_$name .*[1-9]" metrics; done
grep "^gateway_instance_info{name=\"\(blue\|green\)\"" metrics'

say "every line of the service in the journal is JSON and has a priority"
shell 'journalctl -o json _SYSTEMD_UNIT=gateway@blue.service + _SYSTEMD_UNIT=gateway@green.service >lines
python3 - <<P
import collections, json
lines = [json.loads(line) for line in open("lines")]
counts = collections.Counter((line["PRIORITY"], json.loads(line["MESSAGE"])["event"]) for line in lines)
for (priority, event), count in sorted(counts.items()): print(priority, event, count)
assert {("6", "exchange"), ("6", "message"), ("3", "message")} <= counts.keys()
P
journalctl -q -p err -o cat _SYSTEMD_UNIT=gateway@blue.service + _SYSTEMD_UNIT=gateway@green.service | grep -c "unknown key"'
