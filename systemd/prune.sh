#!/bin/sh
# Delete all versions but this one, the two that were installed before it, the one that served before it, and the environment
# of before there were versions. What a process still uses stays.
set -eu
folder=$(cd "$(dirname "$0")/../../.." && pwd)
before=$(cat "$folder/before" 2>/dev/null || true)
kept=0
for stamp in $(ls -t "$folder"/../*/installed); do
    version=${stamp%/installed}
    kept=$((kept + 1))
    [ "$kept" -gt 3 ] && [ "$(basename "$version")" != "$before" ] || continue
    grep -qsF "$(basename "$version")/bin/" /proc/[0-9]*/cmdline || rm -rf "$version"
done
prefix=$(cd "$folder/../.." && pwd)
if [ -d "$prefix/venv" ] && [ ! -L "$prefix/venv" ] && ! grep -qsF "$prefix/venv/bin/" /proc/[0-9]*/cmdline; then
    rm -rf "$prefix/venv"
    ln -s current "$prefix/venv"
fi
