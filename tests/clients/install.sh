#!/usr/bin/env bash
# install.sh FOLDER DRIVER...: install the client of each driver into FOLDER/DRIVER, from PyPI (pip or uv) or npm.
# A client that is there at the version of clients.txt is left alone. Prints a SKIP or FAIL line for one that is missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
clients=$(cd "$1" && pwd)
python=$here/../../.venv/bin/python
shift

has_node() { command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }

with_pip() { "$python" -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"; }

# Without PyTorch, which takes gigabytes and which only models on the same machine need.
with_uv() {
  with_pip uv && echo "torch; sys_platform == 'never'" > "$folder/overrides.txt" &&
    "$folder/bin/uv" pip install --quiet --python "$folder/bin/python" --override "$folder/overrides.txt" "$@"
}

with_npm() {
  mkdir -p "$folder" && echo '{"private": true, "type": "module"}' > "$folder/package.json" &&
    npm install --prefix "$folder" --no-audit --no-fund --loglevel=error "$@"
}

code=0
for driver in "$@"; do
  read -r _ manager packages < <(grep "^$driver " "$here/clients.txt") || { echo "FAIL $driver install: not in clients.txt"; code=1; continue; }
  folder=$clients/$driver
  [ "$(cat "$folder/.installed" 2>/dev/null)" != "$packages" ] || continue
  if [ "$manager" = npm ] && ! has_node; then echo "SKIP $driver install: needs npm with Node 20 or newer"; continue; fi
  echo "installing $packages ..."
  rm -rf "$folder"
  # shellcheck disable=SC2086  # one word for each package
  if "with_$manager" $packages > "$clients/$driver.log" 2>&1; then
    echo "$packages" > "$folder/.installed"
  else
    echo "FAIL $driver install: see $clients/$driver.log"
    code=1
  fi
done
exit $code
