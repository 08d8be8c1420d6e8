#!/usr/bin/env bash
# The first process of the machine that `ray up` is run on, in namespaces of its own (machines.py). It has
# /tmp to itself, and the cluster file of the test in the place of the repository's own.
#
#   laptop.sh FOLDER ROOT CLUSTER_FILE KEPT...
#
# What of KEPT lies below /tmp stays where it is.
set -euo pipefail
folder=$1 root=$2 cluster_file=$3
shift 3

hostname laptop
mount --bind "$cluster_file" "$root/ray-cluster.yaml"
mkdir -p "$folder/tmp"
chmod 1777 "$folder/tmp"
for kept in "$@"; do
    case $kept in /tmp/*)
        mkdir -p "$folder$kept"
        mount --rbind "$kept" "$folder$kept" ;;
    esac
done
mount --rbind "$folder/tmp" /tmp
# ssh looks for keys and settings in the home that stands there, whatever HOME says.
mkdir -p "$folder/etc"
mount -t tmpfs tmpfs "$folder/etc"
mkdir "$folder"/etc/{upper,work}
mount -t overlay -o "lowerdir=/etc,upperdir=$folder/etc/upper,workdir=$folder/etc/work" overlay /etc
sed -i "s|^\(root:[^:]*:0:0:[^:]*\):[^:]*:|\1:$folder/home:|" /etc/passwd

echo 'ready'
sleep infinity &
wait  # and bury whoever ends here
