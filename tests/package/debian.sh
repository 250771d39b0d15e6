#!/usr/bin/env bash
# Part of make test-dist: install, upgrade, remove and purge the Debian package in a Debian that mmdebstrap makes, without a
# network and without systemd (tests/vps has it with systemd). As root, on Debian. SUITES: "bookworm trixie".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/package/base.sh
say() { echo "test-dist: $*"; }
die() { echo "test-dist: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root"
need mmdebstrap

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
now=$(date +%s)
GATEWAY_COMMIT=aaaaaaaaaa SOURCE_DATE_EPOCH=$((now - 60)) .venv-dist/bin/python config/package/dist.py "$work/old" deb >/dev/null
GATEWAY_COMMIT=bbbbbbbbbb SOURCE_DATE_EPOCH=$now .venv-dist/bin/python config/package/dist.py "$work/new" deb >/dev/null

for suite in ${SUITES:-bookworm trixie}; do
  root=$work/$suite
  mkdir "$root"
  tar -xf "$(base "$suite")" -C "$root" --exclude ./dev
  mkdir -p "$root/dev"
  cp "$work"/old/*.deb "$root/old.deb"
  cp "$work"/new/*.deb "$root/new.deb"
  inside() {  # without a network: nothing may be fetched
    unshare --mount --net --pid --fork --kill-child -- sh -ec 'root=$1; shift
      ip link set lo up 2>/dev/null || true
      mount --make-rprivate / && mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev"
      exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin "$@"' sh "$root" "$@"
  }
  versions() { ls "$root/opt/gateway/versions" | tr '\n' ' '; }

  say "$suite: install"
  inside dpkg --install /old.deb >"$work/log" 2>&1 || { cat "$work/log"; die "dpkg --install"; }
  case $(versions) in *-aaaaaaaaaa*) ;; *) die "versions are $(versions)" ;; esac
  case $(inside gateway --version) in *aaaaaaaaaa*) ;; *) die "gateway --version is $(inside gateway --version)" ;; esac
  inside gateway check
  inside gateway demo --once 2>/dev/null | grep -q 'data: \[DONE\]' || die "demo"
  inside dpkg-query --show --showformat '${Conffiles}\n' gemini-openai-gateway | grep -q /etc/gateway/gateway.yaml || die "no conffile"
  for unit in gateway@.service gateway.socket gateway-admin.socket; do
    [ -e "$root/etc/systemd/system/$unit" ] || die "$unit is missing"
  done

  say "$suite: upgrade, with a changed configuration"
  sed -i 's/^drain: .*/drain: 77/' "$root/etc/gateway/gateway.yaml"
  inside dpkg --install /new.deb >"$work/log" 2>&1 || { cat "$work/log"; die "dpkg --install of a newer version"; }
  case $(inside gateway --version) in *bbbbbbbbbb*) ;; *) die "gateway --version is $(inside gateway --version)" ;; esac
  case $(versions) in *-aaaaaaaaaa*-bbbbbbbbbb*) ;; *) die "the former version is gone: $(versions)" ;; esac
  grep -q '^drain: 77' "$root/etc/gateway/gateway.yaml" || die "the configuration was overwritten"

  say "$suite: remove, then purge"
  inside dpkg --remove gemini-openai-gateway >/dev/null
  [ ! -e "$root/opt/gateway/versions" ] && [ ! -e "$root/usr/local/bin/gateway" ] || die "the program stayed"
  grep -q '^drain: 77' "$root/etc/gateway/gateway.yaml" || die "remove deleted the configuration"
  inside dpkg --purge gemini-openai-gateway >/dev/null
  [ ! -e "$root/etc/gateway" ] && [ ! -e "$root/usr/share/gemini-openai-gateway" ] || die "purge left files"
  rm -rf "$root"
done
say "$(du -h "$work"/new/*.deb | cut -f 1) for the package; passed"
