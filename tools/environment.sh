# Makes or updates the checkout's virtual environment: sourced by examples/quickstart and tests/run.
#
#   root=CHECKOUT; . "$root/tools/environment.sh"; make_environment user|dask|dev
#
# Quick when nothing has changed: what was installed is remembered beside it.
# shellcheck shell=sh

# shellcheck disable=SC2154  # root is the caller's
environment=$root/.venv

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Prints the first Python that is new enough. $PYTHON, when set, is the only candidate.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

require_python() {
    python=$(find_python) || fail "Python 3.11 or newer is needed; found $(python3 --version 2>&1).
Install one (https://www.python.org/downloads, 'brew install python', 'apt install python3'),
or name it: PYTHON=/path/to/python3 $0"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python can't make virtual environments.
On Debian and Ubuntu: sudo apt install python3-venv"
}

# What the environment depends on: what is declared, where it is (scripts in it have absolute paths), by which Python.
fingerprint() {
    printf '%s\n' "$root" "$("$environment/bin/python" --version 2>&1)" "$1"
    cat "$root/pyproject.toml"
}

is_current() {
    for extra in "$1" dev; do  # the developer's environment holds the user's
        if [ "$(fingerprint "$extra")" = "$(cat "$environment/installed-$extra" 2>/dev/null)" ]; then
            return 0
        fi
    done
    return 1
}

install() {
    log=$environment/install.log
    "$environment/bin/python" -m pip install --disable-pip-version-check --editable "$1" >"$log" 2>&1 || {
        cat "$log" >&2
        fail "The installation failed (see above, and $log). It can be run again."
    }
}

# Installs dtk from the checkout: for a user, for a user of its Dask executor, or for a developer.
make_environment() {
    ! is_current "$1" || return 0
    require_python
    # One that was moved here from elsewhere, or whose Python is gone, is made anew.
    [ "$(head -n 1 "$environment/installed-for" 2>/dev/null)" = "$root $python" ] || rm -rf "$environment"
    if [ ! -d "$environment" ]; then
        "$python" -m venv "$environment" || fail "$python can't make a virtual environment in $environment."
        printf '%s\n' "$root $python" >"$environment/installed-for"
    fi
    case $1 in
        dev) install "${root}[dev,docs]" ;;
        dask) install "${root}[dask]" ;;
        *) install "$root" ;;
    esac
    fingerprint "$1" >"$environment/installed-$1"
}
