version() { inside gateway --version | awk '{print $1}'; }
say "an upgrade"
first=$(version)
shell 'cp -r gateway next && sed -i "s/^__version__ = .*/__version__ = \"9.9.9\"/" next/gateway/__init__.py && make -C next install'
[ "$(version)" = 9.9.9 ]
client chat
shell "gateway rollback --list | grep '^< $first-'"

say "an upgrade to a version that does not start: the version before serves on, under its own unit"
before=$(serving)
shell 'cp -r next broken && sed -i "s/^__version__ = .*/__version__ = \"9.9.10\"/; \$a import sys; sys.argv[1:2] == [\"serve\"] and sys.exit(3)" broken/gateway/__init__.py'
refuses inside make -C broken install
[ "$(serving)" = "$before" ]
[ "$(version)" = 9.9.9 ]
shell 'grep -q versions/9.9.9- /etc/systemd/system/gateway@.service'
client chat

say "a rollback"
inside gateway rollback
[ "$(version)" = "$first" ]
shell "grep -q 'versions/$first-' /etc/systemd/system/gateway@.service"
client chat
say "and forward again"
shell 'gateway rollback "$(gateway rollback --list | awk "/9.9.9/ {print \$1}")"'
[ "$(version)" = 9.9.9 ]
