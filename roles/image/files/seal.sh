#!/bin/sh
# Makes a host ready to become an image: every instance of it gets an identity of its own at its first boot.
set -eu

# cloud-init runs again, as on a new instance, and generates the host keys.
cloud-init clean --logs
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub

# Empty, not missing and not "uninitialized": those would make systemd reset which units are enabled (machine-id(5)).
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret

# The key that launched the builder is not the key of its instances.
rm -f /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
rm -f /root/.bash_history /home/*/.bash_history

apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/journal/* /var/lib/dhcp/*
find /var/log -type f -exec truncate -s 0 {} +

sync
