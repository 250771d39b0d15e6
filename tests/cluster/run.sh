#!/usr/bin/env bash
# make test-cluster: the ledger on PostgreSQL, a gateway that is killed, and two gateways with one Redis and one PostgreSQL.
# The servers are Debian's, started here on free ports and ended by their ids.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=.venv/bin/python
folder=$(mktemp -d)
REDIS_PID= PG_PID=
stop() {
  kill -CONT $REDIS_PID 2>/dev/null || true
  kill $REDIS_PID $PG_PID 2>/dev/null || true
  wait || true
  rm -rf "$folder"
}
trap stop EXIT
. tests/cluster/servers.sh
echo "the ledger's tests on PostgreSQL"
$python -m pytest -q tests/store/ledger tests/cli/test_ledger.py tests/server/test_store_files.py
echo "kills under load"
$python -m tests.cluster.kills
echo "two gateways"
FOLDER=$folder $python -m tests.cluster.two_gateways
