say "make uninstall: configuration, ledger and the operator's drop-in stay"
shell 'cd gateway && make uninstall && ! ls /run/systemd/units/invocation:gateway@*
test -e /etc/gateway/gateway.yaml && test -e /var/lib/gateway/ledger.db && test -e /etc/systemd/system/gateway@.service.d/20-test.conf
! test -e /opt/gateway && ! test -e /usr/local/bin/gateway && ! test -e /etc/systemd/system/gateway.socket'
