#!/bin/sh
# Install the gateway from this checkout beside the versions before it, and roll to it; --uninstall removes it. Called by
# make, and by the Debian package with its wheels/ and VERSION in place of sources. It can be run again.
#   PREFIX   (/opt/gateway) gets a folder versions/VERSION-COMMIT for each version, with a Python environment, units and site
#   DOMAIN   server name in nginx (default: that of the present site, or of this machine)
#   DESTDIR  write the files below it, without an environment and without changes to systemd and nginx
set -eu
umask 022  # the service runs as another user, and must read the files whatever umask root has
cd "$(dirname "$0")/.."
export PREFIX="${PREFIX:-/opt/gateway}" DESTDIR="${DESTDIR:-}" DOMAIN="${DOMAIN:-}"
die() { echo "install: $*" >&2; exit 1; }
[ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die "run it as root, or with DESTDIR=... to write the files elsewhere"
[ "${1:-}" != --uninstall ] || exec sh systemd/uninstall.sh

pip() {
    "$folder/bin/python" -I -m pip --quiet --disable-pip-version-check install --no-deps "$@" ||
        die "pip failed, see above; $([ -e "$PREFIX/current" ] && echo "the version before serves on" || echo "nothing was installed")"
}

git() { command git -c safe.directory="$PWD" "$@"; }

# The commit, with a digest of the files where git knows none or they differ from it.
commit_of_sources() {
    sources="gateway config systemd setup.cfg setup.py pyproject.toml requirements.lock"
    commit=$(git rev-parse --short=10 HEAD 2>/dev/null || cat gateway/commit.txt 2>/dev/null || true)
    # shellcheck disable=SC2086  # several words
    if [ ! -e .git ] || [ -z "$commit" ] || [ -n "$(git status --porcelain -- $sources 2>/dev/null)" ]; then
        digest=$(find $sources -type f ! -name '*.pyc' ! -name commit.txt | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-10)
        commit=${commit:+$commit.}$digest
    fi
}

if [ -e VERSION ]; then
    name=$(cat VERSION)
else
    commit_of_sources
    name=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' gateway/__init__.py)-$commit
fi
folder=$PREFIX/versions/$name
share=$DESTDIR$folder/share/gateway
# What `gateway rollback` goes back to: the version that serves now; if it is this one again, that of its first installation.
before=$(readlink "$DESTDIR$PREFIX/current" || true)
before=${before##*/}
[ "$before" != "$name" ] || before=$(cat "$DESTDIR$folder/before" 2>/dev/null || echo unknown)

if [ -z "$DESTDIR" ] && ! { [ -e "$folder/.complete" ] && "$folder/bin/python" -I -c 'import gateway' 2>/dev/null; }; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "needs Python 3.11 or newer, this is $(python3 -V)"
    python3 -c 'import ensurepip, venv' 2>/dev/null || die "Python's venv module is missing: apt-get install python3-venv"
    rm -rf "$folder"
    python3 -m venv "$folder"
    if [ -d wheels ]; then
        pip --no-index --find-links wheels --require-hashes -r requirements.lock
        pip --no-index wheels/gemini_openai_gateway-*.whl
    else
        pip --require-hashes -r requirements.lock
        (export GATEWAY_COMMIT="$commit"; pip --no-build-isolation .)
        rm -rf build gemini_openai_gateway.egg-info
    fi
    # Python runs each line of a .pth file that begins with import, at each start, also with -I.
    unknown=$(find "$folder" \( -name '*.pth' ! -name distutils-precedence.pth \) -o -name sitecustomize.py -o -name usercustomize.py)
    [ -z "$unknown" ] || die "unknown code that Python runs at each start: $unknown"
    touch "$folder/.complete"
fi
rm -rf "$share"
install -d "$share/config"
cp -R systemd "$share/"
cp config/gateway.yaml config/gateway.schema.json config/nginx.conf config/Caddyfile "$share/config/"
sh "$share/systemd/activate.sh"
[ "$before" = unknown ] || printf '%s\n' "$before" >"$DESTDIR$folder/before"
[ -n "$DESTDIR" ] || { touch "$folder/installed" && sh "$share/systemd/prune.sh"; }
