#!/usr/bin/env bash
# What `make image-test` runs: build the image, look at what it says of itself, and run it as closed as a
# cluster does. It needs buildah, podman with catatonit, and a base image at hand or a registry; where a tool
# is missing it says so and ends well. Arguments go to `buildah build`: --pull-never, say, for a base that is
# built on this machine. What podman needs on this machine goes into PODMAN and PODMAN_RUN:
#
#   PODMAN='--runtime runc --cgroup-manager cgroupfs' PODMAN_RUN='--ulimit nofile=20000:20000' make image-test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for tool in buildah podman; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool"; exit 0; }
done
[ -n "$(command -v catatonit /usr/libexec/podman/catatonit)" ] || { echo 'skipped: there is no catatonit'; exit 0; }

container=
failed() {
    [ -z "$container" ] || podman logs --tail 40 "$container" 2>&1
    echo "$1"
    exit 1
}

image=$(sed -n 's/.*image\.version="\(.*\)".*/localhost\/thornback:\1/p' Dockerfile)
buildah build --tag "$image" "$@" .

# What it says of itself.
said() { podman image inspect --format "$1" "$image"; }
size=$(said '{{.Size}}')
echo "$image: $((size / 1000000)) MB"
[ "$size" -lt 1000000000 ] || failed 'the image is not under 1 GB'
[ "$(said '{{.Config.User}}')" = 1000:1000 ] || failed 'the image does not run as user 1000'
ports=$(said '{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}')
[ "$ports" = '8080/tcp 9090/tcp ' ] || failed "the image exposes $ports"
for label in title description version licenses; do
    [ -n "$(said "{{index .Labels \"org.opencontainers.image.$label\"}}")" ] || failed "there is no label $label"
done

# Its own user, nothing to write to but memory and the home's volume, no capabilities, no network but its own
# loopback. The volume stays between the runs, as a database does.
home=thornback-image-test-$$
cleared() {
    [ -z "$container" ] || podman rm --force "$container" >/dev/null
    podman volume rm --force "$home" >/dev/null
}
trap cleared EXIT
podman volume create "$home" >/dev/null
# shellcheck disable=SC2086
closed() {
    podman ${PODMAN:-} run --init --network none --read-only --cap-drop all \
        --security-opt no-new-privileges \
        --tmpfs /tmp:rw,size=1g,mode=1777 --volume "$home:/home/thornback" \
        --shm-size 512m ${PODMAN_RUN:-} "$@"
}

closed --rm "$image" /bin/bash -lc 'ray --version && python -c "import thornback" && test "$(id -u):$(id -g)" = 1000:1000'
closed --rm "$image" /bin/bash -c '! touch /there 2>/dev/null && ! touch /opt/thornback/there 2>/dev/null && ! touch /opt/venv/there 2>/dev/null'
closed --rm "$image" /bin/bash -c 'test "$(grep -E "^Cap(Eff|Prm|Inh|Bnd)" /proc/self/status | tr -d "0[:space:]")" = CapInh:CapPrm:CapEff:CapBnd:'
closed --rm "$image" python -m jobs.run --days 2 --exit
echo 'the image runs, closed as it is'

# A pod's end is SIGTERM, and SIGKILL after its grace. First the log of the run before is still there.
container=$(closed --detach "$image" python -m jobs.run --days 2)
while read -r line; do
    case $line in
        'holds  0 events are new'*) again=yes ;;
        'holds  the versions of all'*) break ;;
    esac
done < <(podman logs --follow "$container" 2>&1)
[ "${again:-}" = yes ] || failed 'the second run did not find the log of the first'
# Somebody sends commands, one after the other, all the time.
exec {numbers}< <(podman ${PODMAN:-} exec --interactive "$container" python - send < tests/image_commands.py)
read -r first <&"$numbers" || failed 'the gateway takes no commands'
began=$SECONDS
podman stop --time 60 "$container" >/dev/null
echo "SIGTERM ended it after $((SECONDS - began)) s"
mapfile -t more <&"$numbers"
podman logs "$container" 2>&1 | tail -n 5
[ "$(podman inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] || failed 'SIGTERM did not end it well'
podman logs "$container" 2>&1 | grep 'all is committed' >/dev/null || failed 'SIGTERM did not drain it'
echo 'SIGTERM drains it, and it exits 0'

# Whatever was acknowledged until then is in the log.
closed --rm --interactive "$image" /bin/bash -c 'cd && thornback up >/dev/null </dev/null && python - "$@"; code=$?; thornback down; exit $code' \
    bash check "$first" "${more[@]}" < tests/image_commands.py
echo 'nothing that was acknowledged is lost'
