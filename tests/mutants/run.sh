#!/bin/sh
# Builds an environment with the mutation tool beside the tests' packages, and measures: see run.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd); root=$here/../..
environment=${MUTANTS:-$root/build/mutants}
if [ ! -e "$environment/.made" ] || [ "$root/requirements-dev.lock" -nt "$environment/.made" ]; then
  "${PYTHON:-python3}" -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$root/requirements-dev.lock"
  # not in the lock: only this script uses it
  "$environment/bin/pip" install --quiet --disable-pip-version-check mutmut==3.8.1
  touch "$environment/.made"
fi
PYTHONPATH=. exec "$environment/bin/python" "$here/run.py" "$@"
