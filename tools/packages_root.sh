#!/usr/bin/env bash
# The part of packages.sh that needs root: installs packages without starting the services they bring, and shows how far
# it is. Ends with 130 when it was interrupted.
#
# apt runs in a session of its own, so that Ctrl-C and a closed terminal reach this script only: while apt fetches, it is
# stopped; once dpkg unpacks, it is waited for, since a half-configured package is a broken machine. What was left half done all
# the same (a power cut, kill -9) is repaired by the next run.
#
# usage: packages_root.sh LOG PACKAGE...
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" # `su` brings no sbin
prefix=${PACKAGES_PREFIX-}  # of the system's files that are written here: for tests
log=$1
shift

# ---- services: kept from starting now by a policy, and at boot by what is undone in the end ----

policy=$prefix/usr/sbin/policy-rc.d
ours='# of Cathay Shop, for the time of one installation; before it there were:'
cluster=$prefix/etc/postgresql/15/main
unit_known() { [ -e "$prefix/lib/systemd/system/$1.service" ] || [ -e "$prefix/etc/systemd/system/$1.service" ]; }

there_before=' '
policy_is_ours=
if [ -e "$policy" ] && grep -Fq "$ours" "$policy"; then
    # A run that was killed left it. What was there before that run counts, not what it brought.
    there_before=" $(sed -n "s/^$ours//p" "$policy") "
    policy_is_ours=yes
else
    [ ! -e "$cluster" ] || there_before+='cluster '
    for unit in redis-server nginx; do
        ! unit_known "$unit" || there_before+="$unit "
    done
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\n%s%s\nexit 101\n' "$ours" "$there_before" >"$policy"
        chmod 755 "$policy"
        policy_is_ours=yes
    fi
fi

was_there() { case "$there_before" in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

leave() {
    if ! was_there cluster && [ -e "$cluster/start.conf" ]; then
        sed -i 's/^auto$/disabled/' "$cluster/start.conf"
    fi
    if command -v systemctl >/dev/null 2>&1; then
        for unit in redis-server nginx; do
            was_there "$unit" || ! unit_known "$unit" || systemctl disable "$unit.service" >>"$log" 2>&1 || true
        done
    fi
    [ -z "$policy_is_ours" ] || rm -f "$policy"
}
trap leave EXIT

# ---- apt, and what it tells ----

terminal=
[ ! -t 1 ] || terminal=yes

# A reader of our output that goes away must not end us. Only here and in show(): what ignores SIGPIPE hands that on to the
# packages' own scripts, whose pipes then fail.
say() { (trap '' PIPE; printf '%s\n' "$1") 2>/dev/null || true; }

size() { # what apt has said of it in the log, once it has
    sed -n 's/^Need to get \(.*\) of archives\.$/\1 to fetch/p; s/^After this operation, \(.*\) of additional disk space will be used\.$/\1 on disk/p' \
        "$log" | tail -n 2 | paste -sd, | sed 's/,/, /; s/.*/ (&)/'
}

# apt's states -> the progress. What apt and the packages print goes to the log itself: apt does not wait for the reader of its
# states, and a pipe that is full makes packages' scripts fail where they share it.
show() {
    trap '' INT TERM HUP PIPE
    local line state rest percent last='' words=Fetching size=''
    while IFS= read -r line; do
        case "$line" in dlstatus:* | pmstatus:*) ;; *) continue ;; esac
        state=${line%%:*} rest=${line#*:*:}
        percent=${rest%%[.:]*}
        [ -n "$size" ] || size=$(size)
        if [ "$state" = pmstatus ]; then
            words=Installing
            : >"$unpacking"
        fi
        if [ -n "$terminal" ]; then
            printf '\r\033[K%s%s: %s %%' "$words" "$size" "$percent"
        elif [ "$words$((percent / 25))" != "$last" ]; then
            last=$words$((percent / 25))
            printf '%s%s: %s %%\n' "$words" "$size" "$percent"
        fi
    done 2>/dev/null
    [ -z "$terminal" ] || printf '\r\033[K' 2>/dev/null
    : >"$unpacking.shown"
}

state=$(mktemp -d)
unpacking=$state/unpacking
trap 'leave; rm -rf "$state"' EXIT
interrupted=
apt=

interrupt() {
    [ -z "$interrupted" ] || return
    interrupted=yes
    if [ -n "$apt" ] && [ ! -e "$unpacking" ]; then
        kill -TERM "$apt" 2>/dev/null
    else
        [ -z "$terminal" ] || say ''
        say 'Finishing what apt has begun; half of it would leave the system broken.'
    fi
}
trap interrupt INT TERM HUP

apart() { # COMMAND... in a session of its own; its exit status
    local status try
    [ -z "$interrupted" ] || return 130
    rm -f "$unpacking.shown"
    setsid "$@" 3> >(show) >>"$log" 2>&1 </dev/null &
    apt=$!
    while :; do
        wait "$apt"
        status=$?
        kill -0 "$apt" 2>/dev/null || break
    done
    apt=
    for try in {1..50}; do
        [ ! -e "$unpacking.shown" ] || break
        sleep 0.1
    done
    return "$status"
}

wait_for_lock=(-o DPkg::Lock::Timeout=600) # another apt at work: unattended upgrades after the machine has started

install() {
    apart apt-get install -y -q --no-install-recommends "${wait_for_lock[@]}" -o APT::Status-Fd=3 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confold "$@"
}

# What an earlier run left half done.
if [ -n "$(dpkg --audit 2>/dev/null)" ]; then
    say "Repairing an installation that was cut off."
    : >"$unpacking"
    apart dpkg --configure -a --force-confold
    install --fix-broken # what lacks a package that it needs; alone, or apt refuses
    rm -f "$unpacking"
fi

# Lists of packages that are missing or stale make the first attempt fail; only then are they fetched.
if ! install "$@" && [ -z "$interrupted" ]; then
    say "Fetching the lists of packages."
    apart apt-get update -q "${wait_for_lock[@]}" && install "$@"
    status=$?
else
    status=0
fi
[ -z "$interrupted" ] || exit 130
exit "$status"
