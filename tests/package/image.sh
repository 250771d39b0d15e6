#!/usr/bin/env bash
# make test-image: build config/container/Containerfile with buildah on a Debian that mmdebstrap makes, and run the image as
# its own user on a read-only root. As root, on Debian. PACKAGE_HOME (/var/tmp/gateway-package) keeps the base; SUITE: bookworm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/package/base.sh
suite=${SUITE:-bookworm}
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot CONTAINERS_STORAGE_CONF=$home/storage.conf
image=localhost/gemini-openai-gateway
say() { echo "test-image: $*"; }
die() { echo "test-image: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root"

need buildah mmdebstrap curl
mkdir -p "$home"
rm -rf "$home/storage" "$home/run"
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$home/storage" "$home/run" > "$CONTAINERS_STORAGE_CONF"
work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  rm -rf "$work" "$home/storage" "$home/run"
}
trap finish EXIT

# The package index and the certificates of this host, as in tests/vps/server.sh.
container=$(buildah from scratch)
buildah add --quiet "$container" "$(base "$suite")" / >/dev/null
buildah copy --quiet "$container" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt >/dev/null
for file in /etc/pip.conf "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf"; do [ ! -r "$file" ] || { cat "$file"; echo; }; done |
  python3 -c 'import configparser, sys
settings = configparser.ConfigParser(strict=False)
settings.read_file(sys.stdin)
for section in settings.values():
    for name in ("constraint", "find-links"):
        section.pop(name, None)
settings.write(sys.stdout)' > "$work/pip.conf"
buildah copy --quiet "$container" "$work/pip.conf" /etc/pip.conf >/dev/null
buildah commit --quiet "$container" localhost/gateway-base >/dev/null
buildah rm "$container" >/dev/null

say "the image"
start=$SECONDS
BASE=localhost/gateway-base IMAGE=$image ENGINE=buildah sh config/container/build.sh > "$work/build.log" 2>&1 ||
  { tail -20 "$work/build.log"; die "the build failed"; }
say "built in $((SECONDS - start)) s"
buildah inspect --type image "$image" > "$work/image.json"
setting() { python3 -c 'import json, sys
print(json.dumps(json.load(open(sys.argv[1]))["Docker"]["config"].get(sys.argv[2]), separators=(",", ":")))' "$work/image.json" "$1"; }
expect() { [ "$2" = "$3" ] || die "$1 is $2, expected $3"; }
expect User "$(setting User)" '"65532:65532"'
expect Entrypoint "$(setting Entrypoint)" '["gateway"]'
expect Cmd "$(setting Cmd)" '["serve"]'
expect Volumes "$(setting Volumes)" '{"/var/lib/gateway":{}}'
expect StopSignal "$(setting StopSignal)" '"SIGTERM"'
case $(setting Healthcheck) in *'"gateway","health"'*) ;; *) die "HEALTHCHECK is $(setting Healthcheck)" ;; esac

# Process 1 of namespaces of its own, as the image's user, with the image's environment and working directory. The root is
# read-only, and an empty volume is the only place to write to. The network is the host's.
container=$(buildah from "$image")
root=$(buildah mount "$container")
mapfile -t environ < <(python3 -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\n")' "$(setting Env)")
run() {
  unshare --mount --pid --fork --kill-child -- sh -ec '
    root=$1; shift
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    mount -t tmpfs -o mode=700,uid=65532,gid=65532 tmpfs "$root/var/lib/gateway"
    mount -o remount,bind,ro "$root"
    exec chroot --userspec=65532:65532 "$root" /usr/bin/env -i "$@"' sh "$root" "${environ[@]}" "${extra[@]}" \
    /bin/sh -c 'cd /etc/gateway && exec "$@"' sh "$@"
}
extra=()

say "the user, and the places that it can write to"
expect user "$(run id -u):$(run id -g)" 65532:65532
expect "the places" "$(run sh -c 'for place in / /etc/gateway /tmp /opt/gateway /var/lib/gateway; do
  (: >"$place/probe") 2>/dev/null && echo "$place"; done; true')" /var/lib/gateway
outside=$(chroot --userspec=65532:65532 "$root" find / -xdev \( -type f -o -type d \) -writable ! -path '/proc/*' ! -path '/dev/*' 2>/dev/null | sort | tr '\n' ' ' || true)
say "without a read-only root it could write to: $outside"
case " $outside" in *" /opt"* | *" /etc"* | *" /usr"*) die "the program is writable" ;; esac

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { for _ in $(seq 100); do curl -sf "$1" >/dev/null && return; sleep 0.2; done; die "$1 does not answer"; }
innermost() {  # PID: its last descendant
  local pid=$1 child
  while child=$(pgrep -P "$pid" | head -n 1) && [ -n "$child" ]; do pid=$child; done
  echo "$pid"
}

say "demo"
extra=("GATEWAY_LISTEN=0.0.0.0:$(port)")
run gateway demo --once > "$work/demo.out"
grep -q 'data: \[DONE\]' "$work/demo.out" || die "no streamed answer"

say "serve: /healthz, gateway health, a configuration in GATEWAY_CONFIG_YAML, SIGTERM"
fake=$(port)
.venv-run/bin/gateway fake --listen "127.0.0.1:$fake" >/dev/null 2>&1 & pids+=($!)
listen=$(port)
extra=("GATEWAY_LISTEN=0.0.0.0:$listen" "GATEWAY_CONFIG_YAML=upstream: {base_url: 'http://127.0.0.1:$fake'}")
run gateway serve 2> "$work/serve.err" & serving=$!
pids+=("$serving")
wait_for "http://127.0.0.1:$listen/healthz"
grep -q 'GATEWAY_CONFIG_YAML' "$work/serve.err" || die "it does not say where its configuration is from"
run gateway health
curl -sf "http://127.0.0.1:$listen/v1/chat/completions" -H 'Authorization: Bearer AQ.x' -o "$work/answer" \
  -d '{"model": "gemini-flash-latest", "messages": [{"role": "user", "content": "[[slow 3]] Hello!"}]}' & asking=$!
sleep 1
kill -TERM "$(innermost "$serving")"
sleep 0.5
! run gateway health 2>/dev/null || die "health is good while it drains"
wait "$asking" || die "the request in progress was cut"
grep -q 'You said' "$work/answer" || die "no answer: $(cat "$work/answer")"
wait "$serving" || die "it ended with $?"

say "a mistake in the configuration"
extra=("GATEWAY_CONFIG_YAML=listen: {prot: 1}")
code=0; run gateway serve 2> "$work/mistake" || code=$?
expect "the exit code" "$code" 78
grep -q "^GATEWAY_CONFIG_YAML:1:10: unknown key 'prot' in listen" "$work/mistake" || die "$(cat "$work/mistake")"
say "$(du -sm "$root" | cut -f 1) MB unpacked on $suite; passed"
