# Sourced by run.sh: starts a Redis and a PostgreSQL with their data in $folder, and sets REDIS_URL, REDIS_PID,
# GATEWAY_TEST_POSTGRES and PG_PID. Installs both from Debian's packages where they are missing, which needs root.
if ! command -v redis-server >/dev/null || ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  echo "installing redis-server and postgresql ..."
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server postgresql >/dev/null
fi
free_port() { .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi; }
binaries=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
redis_port=$(free_port) postgres_port=$(free_port)
redis-server --port "$redis_port" --bind 127.0.0.1 --enable-debug-command local --save "" --dir "$folder" \
  > "$folder/redis.log" & REDIS_PID=$!
mkdir "$folder/postgres"
chmod 755 "$folder"
[ "$(id -u)" != 0 ] || chown postgres "$folder/postgres"
as_postgres "$binaries/initdb" -D "$folder/postgres" -U gateway --auth=trust > "$folder/initdb.log"
as_postgres "$binaries/postgres" -D "$folder/postgres" -p "$postgres_port" -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= > "$folder/postgres.log" 2>&1 & PG_PID=$!
for port in "$redis_port" "$postgres_port"; do
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
done
export REDIS_URL=redis://127.0.0.1:$redis_port/0 REDIS_PID
export GATEWAY_TEST_POSTGRES=postgresql://gateway@127.0.0.1:$postgres_port/postgres
