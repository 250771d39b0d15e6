# The Debian of the tests of packages and images: base SUITE prints the tar file, made by mmdebstrap once. Sourced by them.
home=${PACKAGE_HOME:-/var/tmp/gateway-package}

need() {  # PACKAGE...: Debian packages with a command of the same name
  local missing=()
  for name in "$@"; do command -v "$name" >/dev/null || missing+=("$name"); done
  [ ${#missing[@]} = 0 ] && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" procps >/dev/null
}

base() {
  local tar=$home/$1.tar mirror
  if [ ! -f "$tar" ]; then
    # the first Debian mirror of this host, in either format of sources
    mirror=$(awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }' \
      /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true)
    mkdir -p "$home" && rm -rf "$tar"
    mmdebstrap --quiet --format=tar --variant=minbase --include=python3,python3-venv,ca-certificates "$1" "$tar.new" "$mirror" >&2
    mv "$tar.new" "$tar"
  fi
  echo "$tar"
}
