#!/usr/bin/env bash
# What `make image-test` runs: build the image, and run it as closed as a cluster does. It needs buildah,
# podman with catatonit, and a base image at hand or a registry; where a tool is missing it says so and ends
# well. Arguments go to `buildah build`: --pull-never, say, for a base that is built on this machine. What
# podman needs on this machine goes into PODMAN and PODMAN_RUN:
#
#   PODMAN='--runtime runc --cgroup-manager cgroupfs' PODMAN_RUN='--ulimit nofile=20000:20000' make image-test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for tool in buildah podman; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool"; exit 0; }
done
[ -n "$(command -v catatonit /usr/libexec/podman/catatonit)" ] || { echo 'skipped: there is no catatonit'; exit 0; }

image=$(sed -n 's/.*image\.version="\(.*\)".*/localhost\/thornback:\1/p' Dockerfile)
buildah build --tag "$image" "$@" .

size=$(podman image inspect --format '{{.Size}}' "$image")
echo "$image: $((size / 1000000)) MB"
[ "$size" -lt 1000000000 ] || { echo 'the image is not under 1 GB'; exit 1; }

# User 1000, nothing to write to but memory and the home's volume, no capabilities, no network but its own
# loopback.
# shellcheck disable=SC2086
closed() {
    podman ${PODMAN:-} run --init --network none --read-only --cap-drop all \
        --security-opt no-new-privileges --user 1000:1000 \
        --tmpfs /tmp:rw,size=1g,mode=1777 --volume /home/thornback \
        --shm-size 512m ${PODMAN_RUN:-} "$@"
}

closed --rm "$image" /bin/bash -lc 'ray --version && python -c "import thornback" && test "$(id -u)" = 1000'
closed --rm "$image" /bin/bash -c '! touch /opt/thornback/there 2>/dev/null'
closed --rm "$image" python -m jobs.run --days 2 --exit
echo 'the image runs, closed as it is'

# A pod's end is SIGTERM, and SIGKILL after its grace.
container=$(closed --detach "$image" python -m jobs.run --days 2)
trap 'podman rm --force --volumes "$container" >/dev/null' EXIT
while read -r line; do
    case $line in 'holds  the versions of all'*) break ;; esac
done < <(podman logs --follow "$container" 2>&1)
podman stop --time 60 "$container" >/dev/null
podman logs "$container" 2>&1 | tail -n 5
[ "$(podman inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] || { echo 'SIGTERM did not end it well'; exit 1; }
podman logs "$container" 2>&1 | grep -q 'all is committed' || { echo 'SIGTERM did not drain it'; exit 1; }
echo 'SIGTERM drains it, and it exits 0'
