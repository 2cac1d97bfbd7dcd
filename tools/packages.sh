# Installs the Debian packages that are missing. Sourced by ./run, ./test and bench/.
#
# packages_install LIST...   lists of tools/packages.txt; nothing happens where all of them are there. Returns 130 when the
#                            installation was interrupted: what apt had begun is then finished, and the next call goes on.
#
# The packages of PostgreSQL and Redis bring system services. Ours are private instances, so a service that this
# installation brings is neither started nor left to start at boot; one that was there before is not touched.

packages_missing() { # LIST... -> one name a line
    local name command
    for list in "$@"; do
        awk -v list="[$list]" '/^\[/ { on = ($1 == list); next } on && NF && $1 !~ /^#/ { print $1, $2 }' \
            "$PROJECT/tools/packages.txt"
    done | while read -r name command; do
        if [ -n "$command" ] && command -v "$command" >/dev/null 2>&1; then
            continue
        fi
        if [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
            echo "$name"
        fi
    done
}

packages_log() { # makes the log, for us alone; says why where it cannot
    local why
    if ! why=$( (umask 077 && mkdir -p "$PROJECT/var/log" && : >"$1") 2>&1); then
        echo "Nothing can be written below var/: ${why##*: } ($(id -un) has to own it, on a disk with space)." >&2
        return 1
    fi
}

packages_install() { # LIST...
    local missing log="$PROJECT/var/log/packages.log" by_hand status=0 interrupted=
    if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
        echo "This script installs packages with apt-get, which is not here. On another system install what tools/packages.txt lists." >&2
        return 1
    fi
    missing=$(packages_missing "$@" | tr '\n' ' ')
    missing=${missing% }
    [ -n "$missing" ] || return 0
    by_hand="apt-get update && apt-get install --no-install-recommends $missing"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "Packages are missing, and there is neither root nor sudo to install them. As root: $by_hand" >&2
        return 1
    fi
    packages_log "$log" || return 1
    echo "Installing $(wc -w <<<"$missing") Debian packages and what they need: $missing"
    echo "The log is var/log/packages.log."
    # The part below minds signals; ours come when it has finished what cannot be left half done.
    trap 'interrupted=yes' INT TERM HUP
    if [ "$(id -u)" -eq 0 ]; then
        bash "$PROJECT/tools/packages_root.sh" "$log" $missing || status=$?
    elif sudo -v; then
        sudo bash "$PROJECT/tools/packages_root.sh" "$log" $missing || status=$?
    elif [ -z "$interrupted" ]; then
        trap - INT TERM HUP
        echo "sudo refused. As root: $by_hand" >&2
        return 1
    fi
    trap - INT TERM HUP
    if [ -n "$interrupted" ] || [ "$status" -eq 130 ]; then
        echo "Interrupted while installing. The next run goes on from there." >&2
        return 130
    fi
    if [ "$status" -ne 0 ]; then
        grep -E '^(E|dpkg|Err):|^dpkg: ' "$log" | head -n 3 >&2
        echo "apt-get could not install the packages; its output is in var/log/packages.log. By hand, as root: $by_hand" >&2
        return 1
    fi
}
