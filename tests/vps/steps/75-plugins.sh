say "a plugin is installed by one command; its hooks and its endpoint serve after a roll"
# For some seconds after a roll, nginx may still use a connection to the instance before.
acme() {
  for _ in $(seq 50); do
    [ "$(shell "curl -s --cacert /etc/gateway/tls/ca.pem -d '{\"a\":1}' https://gateway.test/acme/echo")" != '{"you_said": {"a": 1}}' ] || return 0
    sleep 0.1
  done
  die "$1"
}
shell 'cp /etc/gateway/gateway.yaml /root/before-plugins.yaml
gateway plugin install gateway/tests/acme_gateway && gateway plugin list
sed -i "s|^plugins:.*|plugins:\n  acme_echo: {prefix: /acme}\n  acme_journal: {}|" /etc/gateway/gateway.yaml
gateway check --deep && gateway roll'
acme "the plugin does not serve"
client chat
shell 'grep -q "\"surface\":\"chat\"" /var/lib/gateway/plugins/acme_journal/answers.jsonl'

say "an optional part of the gateway is installed and listed in the same way"
shell 'gateway plugin install --extra otel && gateway plugin list | grep -qx "\[otel\]: installed"'

say "an upgrade installs it into the next version"
shell 'cd gateway && echo "# another version" >>gateway/__init__.py && make install && gateway plugin list | grep -q "^acme-gateway 1.0: acme_echo"'
shell 'gateway plugin list | grep -qx "\[otel\]: installed"'
acme "the upgrade has lost the plugin"

say "a plugin that does not start is one line, and nothing is changed"
shell 'rm -rf /var/lib/gateway/plugins/acme_journal && touch /var/lib/gateway/plugins/acme_journal'
refuses inside gateway roll
shell "journalctl -o cat -n 200 -u 'gateway@*' | grep -q \"plugin 'acme_journal' failed to start: FileExistsError\""
acme "a failed roll has stopped the gateway"

say "and it goes as it came"
shell 'rm -f /var/lib/gateway/plugins/acme_journal && cp /root/before-plugins.yaml /etc/gateway/gateway.yaml
gateway plugin remove acme-gateway && gateway plugin remove --extra otel && gateway roll && [ -z "$(gateway plugin list)" ]
sed -i "/^# another version$/d" gateway/gateway/__init__.py'
