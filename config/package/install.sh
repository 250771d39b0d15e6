#!/bin/sh
# Install the gateway from a folder or an address with the files of `make dist`. Nothing is changed before the plan is shown.
#
#   sh install.sh [--dry-run] [--yes] [--as deb|pyz] [--from FOLDER_OR_URL] [--sums SHA256]
#
#   --dry-run  show the plan and check the files, and change nothing
#   --yes      do not ask
#   --as       deb: a service of systemd (Debian 12 and 13, amd64, root); pyz: one program. Default: deb where it works
#   --from     where the files are; default: the folder of this script
#   --sums     SHA-256 of SHA256SUMS as its publisher announced it. The sums lie beside the files: alone they show a broken
#              download, not a forged one.
# It can be run again: a newer version replaces an older one, and configuration and data stay.
set -eu
umask 022

die() { echo "install.sh: $*" >&2; exit 1; }
say() { echo "install.sh: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }

dry=no yes=no kind= from= sums=
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry=yes ;;
        --yes) yes=yes ;;
        --as | --from | --sums)
            [ $# -gt 1 ] || die "$1 needs a value"
            case $1 in --as) kind=$2 ;; --from) from=$2 ;; --sums) sums=$2 ;; esac
            shift ;;
        *) die "unknown argument $1; usage: sh install.sh [--dry-run] [--yes] [--as deb|pyz] [--from FOLDER_OR_URL] [--sums SHA256]" ;;
    esac
    shift
done
case $kind in '' | deb | pyz) ;; *) die "--as $kind: expected deb or pyz" ;; esac
[ -n "$from" ] || case $0 in
    */install.sh | install.sh) from=$(cd "$(dirname "$0")" && pwd) ;;
    *) die "name the folder or address of the files with --from" ;;
esac
has sha256sum || die "sha256sum is missing"
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    die "the packages are for Linux on x86_64; elsewhere: pipx install FOLDER_OR_URL/gemini_openai_gateway-VERSION-py3-none-any.whl"

debian() { [ -r /etc/debian_version ] && has apt-get && has dpkg && [ "$(dpkg --print-architecture)" = amd64 ]; }
root() { [ "$(id -u)" = 0 ]; }
if [ -z "$kind" ]; then
    kind=pyz
    if root && debian && [ -d /run/systemd/system ]; then kind=deb; fi
fi
if [ "$kind" = deb ]; then
    debian || die "--as deb needs Debian on amd64; --as pyz installs one program"
    root || [ "$dry" = yes ] || die "--as deb needs root; --as pyz does not"
else
    python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null ||
        die "--as pyz needs python3 of version 3.11, 3.12 or 3.13; this is $(python3 -V 2>&1 || true)"
fi

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
get() {  # NAME: bring one file into $files
    case $from in
        http://* | https://*)
            has curl || die "curl is missing"
            curl -fsSL --proto '=https,http' -o "$files/$1" "$from/$1" || die "$from/$1 cannot be fetched" ;;
        *) cp "$from/$1" "$files/$1" 2>/dev/null || die "$from/$1 cannot be read" ;;
    esac
}
get SHA256SUMS
[ -z "$sums" ] || [ "$(sha256sum "$files/SHA256SUMS" | cut -d ' ' -f 1)" = "$sums" ] ||
    die "SHA256SUMS is not the announced one: nothing was changed"
name=$(sed -n "s/^[0-9a-f]\{64\}  \([A-Za-z0-9_.~+-]*\.$kind\)\$/\1/p" "$files/SHA256SUMS")
[ "$(echo "$name" | wc -w)" = 1 ] || die "SHA256SUMS names no .$kind, or several"
get "$name"
grep -F "  $name" "$files/SHA256SUMS" | (cd "$files" && sha256sum --check --quiet -) 2>/dev/null ||
    die "$name is not the file of SHA256SUMS: nothing was changed"
say "$name: the SHA-256 is that of SHA256SUMS"

if root; then target=/usr/local/bin/gateway; else target=$HOME/.local/bin/gateway; fi
if [ "$kind" = deb ]; then
    say "plan: apt-get install $name, with python3-venv, and nginx unless Caddy is installed"
    say "it creates /opt/gateway, /etc/gateway, /var/lib/gateway, units of systemd, and /usr/local/bin/gateway"
    uninstall="apt-get remove gemini-openai-gateway    (purge: also configuration, keys and data)"
else
    say "plan: copy $name to $target, and nothing else"
    say "at its first start the program unpacks itself into ~/.shiv"
    uninstall="rm -r $target ~/.shiv/$(basename "$target")_*"
    if [ -e "$target" ] && ! python3 -m zipfile -l "$target" 2>/dev/null | grep -q '^site-packages/gateway/'; then
        die "$target exists and is not such a program: move it away first"
    fi
fi
if [ "$dry" = yes ]; then
    say "--dry-run: nothing was changed"
    say "to uninstall: $uninstall"
    exit 0
fi
if [ "$yes" = no ]; then
    [ -t 0 ] || die "to go on without a question, add --yes"
    printf 'install.sh: go on? [y/N] '
    read -r answer
    case $answer in y | Y | yes) ;; *) die "nothing was changed" ;; esac
fi

if [ "$kind" = deb ]; then
    chmod 755 "$files"  # apt reads it as another user
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o Dpkg::Options::=--force-confold "$files/$name"
else
    mkdir -p "$(dirname "$target")"
    install -m 755 "$files/$name" "$target.new" && mv "$target.new" "$target"
    "$target" --version
    case :$PATH: in *:"$(dirname "$target")":*) ;; *) say "$(dirname "$target") is not in PATH" ;; esac
fi
say "to uninstall: $uninstall"
