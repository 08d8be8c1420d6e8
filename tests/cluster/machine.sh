#!/usr/bin/env bash
# The first process of a machine that `ray up` is to find, in namespaces of its own (machines.py): a name,
# a user, folders to write to, and sshd. Everything that it mounts is gone when it ends.
#
#   machine.sh NAME FOLDER WHEELS KEY.pub
#
# What is not mounted here is the root of the machine that the test runs on: sshd, Python and rsync.
set -euo pipefail
name=$1 folder=$2 wheels=$3 key=$4

hostname "$name"
mkdir -p "$folder"/{home,tmp,var-tmp,etc}
chmod 1777 "$folder"/{tmp,var-tmp}
mount --bind "$wheels" /srv
mount --bind "$folder/tmp" /tmp
mount --bind "$folder/home" /home
mount -t tmpfs -o mode=700 tmpfs /root
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm

# An /etc of its own, over the other one.
mount -t tmpfs tmpfs "$folder/etc"
mkdir "$folder"/etc/{upper,work}
mount -t overlay -o "lowerdir=/etc,upperdir=$folder/etc/upper,workdir=$folder/etc/work" overlay /etc
echo "$name" > /etc/hostname
printf '127.0.0.1 localhost\n' > /etc/hosts
: > /etc/resolv.conf
# pip installs from the wheels that the test has gathered: this network leads nowhere.
rm -rf /etc/pip.conf /etc/xdg/pip
printf '[global]\nno-index = true\nfind-links = /srv\n[install]\nno-compile = true\n' > /etc/pip.conf

if id thornback > /dev/null 2>&1; then userdel thornback; fi
useradd --create-home --shell /bin/bash thornback
usermod --password '*' thornback  # nobody's password, but not a locked account
install -d -m 700 -o thornback -g thornback /home/thornback/.ssh
install -m 600 -o thornback -g thornback "$key" /home/thornback/.ssh/authorized_keys

mount --bind "$folder/var-tmp" /var/tmp  # from here on $folder may be hidden

mkdir /run/sshd
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key_of_this_machine
printf '%s\n' 'HostKey /etc/ssh/key_of_this_machine' 'PidFile none' 'UsePAM no' \
    'PasswordAuthentication no' 'KbdInteractiveAuthentication no' 'PrintMotd no' > /etc/ssh/sshd_config
"$(command -v sshd)" -D -E /run/sshd/log -f /etc/ssh/sshd_config &
echo 'ready'
wait  # and bury whoever ends here
