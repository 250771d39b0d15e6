#!/usr/bin/env bash
# make test-cluster: two gateway processes on one real Redis and one real PostgreSQL, all of them ours and ended by id.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=$(mktemp -d)
ended() { kill -CONT "$REDIS_PID" 2>/dev/null || true; kill "$REDIS_PID" "$PG_PID" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"; }
REDIS_PID= PG_PID=
trap ended EXIT
. tests/cluster/servers.sh
echo "the ledger's tests on PostgreSQL"
.venv/bin/python -m pytest -q tests/store/test_ledger.py
echo "killed under load"
.venv/bin/python tests/cluster/kill.py
echo "two gateways"
FOLDER=$folder .venv/bin/python tests/cluster/drive.py
