#!/bin/sh
# The command line with the configuration, state and credentials of the service: `gateway keys`, `gateway usage` ...
export GATEWAY_CONFIG="${GATEWAY_CONFIG:-/etc/gateway/gateway.yaml}"
export STATE_DIRECTORY="${STATE_DIRECTORY:-/var/lib/gateway}"
export CREDENTIALS_DIRECTORY="${CREDENTIALS_DIRECTORY:-/etc/gateway/credentials}"
exec @PREFIX@/venv/bin/python -I -m gateway "$@"
