#!/usr/bin/env bash
# server.sh up | exec COMMAND... | put SOURCE TARGET | reboot | down | status
# A throw-away Debian server in a systemd-nspawn container, with systemd as process 1. SUITE=bookworm or trixie. See README.md.
set -euo pipefail

home=${VPS_HOME:-/var/tmp/vps}
name=${VPS_NAME:-gateway}
suite=${SUITE:-bookworm}
base=$home/base
[ "$suite" = bookworm ] || base=$home/base-$suite
root=$home/run/$name
pidfile=$home/run/$name.pid
packages=systemd,systemd-sysv,dbus,python3,python3-venv,make,git,nginx,redis-server,curl,openssl,ca-certificates,procps,iproute2

die() { echo "server.sh: $*" >&2; exit 2; }

install_tools() {
  command -v debootstrap >/dev/null && command -v systemd-nspawn >/dev/null && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap systemd-container iproute2 >/dev/null
}

host_mirror() {  # the first Debian mirror that the host itself uses, in either format of sources
  awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null
}

build_base() {
  [ ! -e "$base/.complete" ] || return 0
  rm -rf "$base"
  mkdir -p "$base"
  echo "building the base system in $base ..."
  debootstrap --variant=minbase --include="$packages" "$suite" "$base" "$(host_mirror)" > "$home/debootstrap.log" 2>&1 ||
    die "debootstrap failed: see $home/debootstrap.log"
  copy_host_settings
  systemctl --root="$base" disable nginx redis-server >/dev/null 2>&1
  touch "$base/.complete"
}

# pip inside finds the package index, and trusts the certificates, that pip of the host does.
copy_host_settings() {
  local file
  cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/ca-certificates.crt"
  for file in /etc/pip.conf "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf"; do
    [ ! -r "$file" ] || { cat "$file"; echo; }
  done | python3 -c '
import configparser, sys
settings = configparser.ConfigParser(strict=False)
settings.read_file(sys.stdin)
settings.write(sys.stdout)' > "$base/etc/pip.conf"
  env | sed -nE 's/^((PIP_|SSL_CERT|REQUESTS_CA|CURL_CA)[A-Z_]*)=(.*)$/\1="\3"/p' > "$base/etc/environment"
}

leader() { [ -s "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null && cat "$pidfile"; }

inside() {
  local pid
  pid=$(leader) || die "not up"
  nsenter -t "$pid" -m -u -i -n -p -- /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /bin/bash -c 'set -a; . /etc/environment; set +a; cd /root; exec "$@"' bash "$@"
}

up() {
  [ "$(id -u)" = 0 ] || die "needs root"
  ! leader >/dev/null || die "already up"
  install_tools
  mkdir -p "$home/run"
  build_base
  rm -rf "$root"
  cp -a --reflink=auto "$base" "$root"
  echo "127.0.0.1 localhost gateway.test" > "$root/etc/hosts"
  boot
}

boot() {
  local unified=1 nspawn pid options=()
  # systemd-nspawn has to follow the host's cgroup version, and systemd 256 and newer refuse version 1 without this option
  [ -e /sys/fs/cgroup/cgroup.controllers ] || { unified=0; options=(SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1); }
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=$unified setsid systemd-nspawn -q -D "$root" --machine="$name" \
    --register=no --keep-unit --resolv-conf=replace-host ${VPS_OPTIONS:-} --boot "${options[@]}" > "$home/run/$name.console" 2>&1 </dev/null &
  nspawn=$!
  for _ in $(seq 120); do
    sleep 0.5
    kill -0 "$nspawn" 2>/dev/null || die "did not boot: see $home/run/$name.console"
    pid=$(pgrep -P "$nspawn" | head -n 1) || true
    [ -n "$pid" ] || continue
    echo "$pid" > "$pidfile"
    case $(inside systemctl is-system-running 2>/dev/null || true) in
      running | degraded) echo "up: leader $pid"; return ;;
    esac
  done
  die "no running system after 60 s: see $home/run/$name.console"
}

# Asks process 1 for a change of state by one of systemd's signals (systemd(1), "SIGNALS"), and waits for its end.
end_with() {
  local pid=$2
  kill -s "$1" "$pid"
  for _ in $(seq 120); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.5; done
  kill -9 "$pid" 2>/dev/null || true
}

reboot() {
  local pid
  pid=$(leader) || die "not up"
  end_with RTMIN+5 "$pid"  # reboot: systemd-nspawn ends, and has to be started again
  boot
}

down() {
  local pid
  ! pid=$(leader) || end_with RTMIN+4 "$pid"  # power off
  rm -rf "$pidfile" "$root"
}

put() { mkdir -p "$root/$(dirname "$2")" && cp -a "$1" "$root/$2"; }

case ${1:-} in
  up | reboot | down) "$1" ;;
  exec) shift; inside "$@" ;;
  put) [ $# = 3 ] || die "put SOURCE TARGET"; put "$2" "$3" ;;
  status) leader || echo down ;;
  *) sed -n '2,3s/^# //p' "$0"; exit 2 ;;
esac
