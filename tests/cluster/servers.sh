# Starts a throw-away Redis and PostgreSQL in $folder, and sets REDIS_URL, REDIS_PID, GATEWAY_TEST_POSTGRES and PG_PID.
# Sourced by run.sh; whoever sources it ends them.
if ! command -v redis-server >/dev/null || ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  echo "installing redis-server and postgresql ..."
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server postgresql >/dev/null
fi
port() { .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
as_postgres() { if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi; }
pg=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
redis_port=$(port) pg_port=$(port)
redis-server --port "$redis_port" --bind 127.0.0.1 --enable-debug-command local --save "" --dir "$folder" >"$folder/redis.log" & REDIS_PID=$!
mkdir "$folder/pg" && chmod 755 "$folder" && { [ "$(id -u)" != 0 ] || chown postgres "$folder/pg"; }
as_postgres "$pg/initdb" -D "$folder/pg" -U gateway --auth=trust >"$folder/initdb.log"
as_postgres "$pg/postgres" -D "$folder/pg" -p "$pg_port" -c listen_addresses=127.0.0.1 -c "unix_socket_directories=" \
  >"$folder/pg.log" 2>&1 & PG_PID=$!
REDIS_URL=redis://127.0.0.1:$redis_port/0 GATEWAY_TEST_POSTGRES=postgresql://gateway@127.0.0.1:$pg_port/postgres
for p in "$redis_port" "$pg_port"; do
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null && break; sleep 0.1; done
done
export REDIS_URL REDIS_PID GATEWAY_TEST_POSTGRES
