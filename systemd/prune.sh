#!/bin/sh
# Delete all versions but this one and the two that were installed before it, and the environment of before there were
# versions. What a process still uses stays.
set -eu
folder=$(cd "$(dirname "$0")/../../.." && pwd)
kept=0
for stamp in $(ls -t "$folder"/../*/installed); do
    version=${stamp%/installed}
    kept=$((kept + 1))
    [ "$kept" -gt 3 ] || continue
    grep -qsF "$(basename "$version")/bin/" /proc/[0-9]*/cmdline || rm -rf "$version"
done
prefix=$(cd "$folder/../.." && pwd)
if [ -d "$prefix/venv" ] && [ ! -L "$prefix/venv" ] && ! grep -qsF "$prefix/venv/bin/" /proc/[0-9]*/cmdline; then
    rm -rf "$prefix/venv"
    ln -s current "$prefix/venv"
fi
