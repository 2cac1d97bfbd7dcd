#!/usr/bin/env bash
# The part of packages.sh that needs root: installs the packages named, without starting the services they bring.
set -u
export DEBIAN_FRONTEND=noninteractive

policy=/usr/sbin/policy-rc.d
policy_is_ours=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n# for the time of one installation\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    policy_is_ours=yes
fi
cleanup() { [ -z "$policy_is_ours" ] || rm -f "$policy"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

cluster=/etc/postgresql/15/main
[ -e "$cluster" ] && had_cluster=yes || had_cluster=
unit_known() { [ -e "/lib/systemd/system/$1" ] || [ -e "/etc/systemd/system/$1" ]; }
unit_known redis-server.service && had_redis=yes || had_redis=
unit_known nginx.service && had_nginx=yes || had_nginx=

install() { apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"; }

# Lists of packages that are missing or stale make the first attempt fail; only then are they fetched.
if ! install "$@"; then
    apt-get update && install "$@" || exit 1
fi

# What this installation brought must not start at the next boot either.
if [ -z "$had_cluster" ] && [ -e "$cluster/start.conf" ]; then
    sed -i 's/^auto$/disabled/' "$cluster/start.conf"
fi
if command -v systemctl >/dev/null 2>&1; then
    [ -n "$had_redis" ] || ! unit_known redis-server.service || systemctl disable redis-server.service || true
    [ -n "$had_nginx" ] || ! unit_known nginx.service || systemctl disable nginx.service || true
fi
exit 0
