# Installs the Debian packages that are missing. Sourced by ./run, ./test and bench/.
#
# packages_install LIST...   lists of tools/packages.txt; nothing happens where all of them are there.
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

packages_install() { # LIST...
    local missing log="$PROJECT/var/log/packages.log"
    if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
        echo "This script installs packages with apt-get, which is not here. On another system install what tools/packages.txt lists." >&2
        return 1
    fi
    missing=$(packages_missing "$@" | tr '\n' ' ')
    [ -n "${missing// /}" ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "Packages are missing, and there is neither root nor sudo to install them. As root: apt-get install $missing" >&2
        return 1
    fi
    mkdir -p "$PROJECT/var/log"
    echo "Installing Debian packages: $missing"
    if [ "$(id -u)" -eq 0 ]; then
        bash "$PROJECT/tools/packages_root.sh" $missing >"$log" 2>&1
    else
        sudo -v || { echo "sudo refused. As root: apt-get install $missing" >&2; return 1; }
        sudo bash "$PROJECT/tools/packages_root.sh" $missing >"$log" 2>&1
    fi
    if [ $? -ne 0 ]; then
        grep '^E:' "$log" | head -n 3 >&2
        echo "apt-get could not install the packages; its output is in var/log/packages.log. By hand: apt-get install $missing" >&2
        return 1
    fi
}
