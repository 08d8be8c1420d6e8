#!/usr/bin/env bash
# What `make image-test` runs: build the image, and run it as closed as a cluster does. It needs buildah
# and podman, and a base image at hand or a registry; where a tool is missing it says so and ends well.
# Arguments go to `buildah build`: --pull-never, say, for a base that is built on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for tool in buildah podman; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool"; exit 0; }
done

image=$(sed -n 's/.*image\.version="\(.*\)".*/localhost\/thornback:\1/p' Dockerfile)
buildah build --tag "$image" "$@" .

size=$(podman image inspect --format '{{.Size}}' "$image")
echo "$image: $((size / 1000000)) MB"
[ "$size" -lt 1000000000 ] || { echo 'the image is not under 1 GB'; exit 1; }

# User 1000, nothing to write to but memory, no capabilities, no network but its own loopback.
# shellcheck disable=SC2086
closed() {
    podman run --rm --init --network none --read-only --cap-drop all \
        --security-opt no-new-privileges --user 1000:1000 \
        --tmpfs /tmp:rw,size=1g,mode=1777 --tmpfs /home/thornback:rw,size=2g,mode=1777 \
        --shm-size 512m ${PODMAN_RUN:-} "$image" "$@"
}

closed /bin/bash -lc 'ray --version && python -c "import thornback" && test "$(id -u)" = 1000'
closed /bin/bash -c '! touch /opt/thornback/there 2>/dev/null'
closed python -m jobs.run --days 2 --exit
echo 'the image runs, closed as it is'
