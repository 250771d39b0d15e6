#!/bin/sh
# `gateway keys`, `gateway usage`, `gateway check`: the command line with what the service has.
export GATEWAY_CONFIG="${GATEWAY_CONFIG:-/etc/gateway/gateway.yaml}"
export STATE_DIRECTORY="${STATE_DIRECTORY:-/var/lib/gateway}"
export CREDENTIALS_DIRECTORY="${CREDENTIALS_DIRECTORY:-/etc/gateway/credentials}"
exec @PREFIX@/venv/bin/python -I -m gateway "$@"
