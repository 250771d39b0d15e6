say "the official SDK over TLS"
shell 'python3 -m venv client && client/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r gateway/requirements-dev.lock 2>/dev/null'
client chat
