#!/bin/sh
# make image: build the image with the first of docker, podman and buildah that is there. BASE, IMAGE and ENGINE may be set.
set -eu
cd "$(dirname "$0")/../.."
image=${IMAGE:-gemini-openai-gateway}
engine=${ENGINE:-$(for name in docker podman buildah; do command -v $name >/dev/null && echo $name && break; done || true)}
[ -n "$engine" ] || { echo "make image: docker, podman or buildah is needed" >&2; exit 1; }
case $engine in
    *buildah) set -- bud --format docker --layers=false ;;  # the OCI format has no HEALTHCHECK
    *podman) set -- build --format docker ;;
    *) set -- build ;;
esac
commit=$(git rev-parse --short=10 HEAD 2>/dev/null || true)
exec "$engine" "$@" --build-arg "GATEWAY_COMMIT=$commit" ${BASE:+--build-arg "BASE=$BASE"} -t "$image" -f config/container/Containerfile .
