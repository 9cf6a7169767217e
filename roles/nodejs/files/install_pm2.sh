#!/bin/sh
# Installs pm2 from an npm registry into a directory of its own, which gets its name when all is in it.
# usage: install_pm2.sh DIRECTORY VERSION REGISTRY NODE_DIRECTORY
set -eu
umask 022
directory=$1 version=$2 registry=$3 node=$4

partial=$directory.partial
cache=$(mktemp -d)
trap 'rm -rf "$cache" "$partial"' EXIT
rm -rf "$partial"

export PATH="$node/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A registry may have its certificate from an authority that only the host's own store knows.
export NODE_USE_SYSTEM_CA=1
# No package of it needs a script to run, and a script would run as root.
npm install --global --prefix="$partial" --registry="$registry" --cache="$cache" --ignore-scripts --omit=optional \
  --no-audit --no-fund --no-update-notifier --loglevel=error "pm2@$version"
mv --no-target-directory "$partial" "$directory"
