# What ./run and ./test are asked, read before anything is installed: a bare machine has no Python yet. Sourced by both.

parts() { # -> one name a line
    awk '!/^#/ && NF { print $1 }' "$PROJECT/tools/parts.txt"
}

parts_list() {
    awk '!/^#/ && NF { name = $1; $1 = $2 = ""; sub(/^ +/, ""); printf "%-12s%s\n", name, $0 }' "$PROJECT/tools/parts.txt"
}

test_help() {
    cat <<'HELP'
usage: ./test [--list] [--help] [NAME...]

Installs what is missing, builds, and runs the tests part by part. A NAME is a part, or part:word for the files of it whose
path holds that word (./test api:orders). The last line is "N passed, N failed", counted over the single tests of all
parts. Logs are in var/test/. All that was started is stopped at the end, also after Ctrl-C.

Parts:
HELP
    parts_list | sed 's/^/  /'
}

test_arguments() { # ARGUMENT... -> returns where there is something to run
    local argument
    for argument in "$@"; do
        case "$argument" in
        -h | --help) test_help; exit 0 ;;
        --list) parts_list; exit 0 ;;
        -*) echo "./test: there is no option $argument; ./test --help says more" >&2; exit 2 ;;
        esac
        if ! parts | grep -Fqx -- "${argument%%:*}"; then
            echo "There is no part ${argument%%:*}; the parts are: $(parts | tr '\n' ' ')" >&2
            exit 2
        fi
    done
}

run_help() {
    cat <<'HELP'
usage: ./run [--port N] [--fresh]

  --port N   the shop listens on 127.0.0.1:N instead of 8080
  --fresh    starts over: removes the data under var/ first
  --help     this text

Data stay in var/ between runs; logs are in var/log/. Ctrl-C stops all that was started.
DATABASE_URL and REDIS_URL, where set, name servers to use instead of private ones. Settings (CATHAY_…) are passed on;
build/cathay config lists them.
HELP
}

port_argument() {
    case "$1" in
    '' | *[!0-9]*) ;;
    *) [ "${#1}" -gt 5 ] || [ "$1" -lt 1 ] || [ "$1" -gt 65535 ] || return 0 ;;
    esac
    echo "./run: --port $1: a port is a number from 1 to 65535" >&2
    exit 2
}

run_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help) run_help; exit 0 ;;
        --fresh) ;;
        --port=*) port_argument "${1#--port=}" ;;
        --port) port_argument "${2-}"; shift ;;
        *) echo "./run: cannot make sense of $1; ./run --help says more" >&2; exit 2 ;;
        esac
        shift
    done
}
