#!/bin/sh
# Installs when-ready: downloads the executable for this machine and checks it against its sum.
#
#   sh install.sh [--version VERSION] [--to DIRECTORY] [--from ADDRESS-OR-DIRECTORY]
#
# Without --version, or where that is `latest`, it is the latest; without --to, /usr/local/bin or
# ~/.local/bin, whichever this user may write to. --from names another place that holds the files of
# a release.
set -eu

releases=https://github.com/when-ready/when-ready/releases

# Called by the last line: of a script that arrives in part, nothing is run.
main() {
    from=$releases/latest/download
    to=
    while [ $# -gt 0 ]; do
        case $1 in
            --version | --to | --from)
                [ $# -ge 2 ] || fail "$1 takes a value"
                case $1 in
                    --version) [ "$2" = latest ] || from=$releases/download/v${2#v} ;;
                    --to) to=$2 ;;
                    --from) from=${2%/} ;;
                esac
                shift 2
                ;;
            *) fail "unknown option $1 (there are --version, --to and --from)" ;;
        esac
    done

    case $(uname -sm) in
        "Linux x86_64" | "Linux amd64") build=x86_64-linux ;;
        "Linux aarch64" | "Linux arm64") build=aarch64-linux ;;
        "Linux i"?86) build=i686-linux ;;
        "Linux armv7"* | "Linux armv8l") build=armv7-linux ;;
        "Linux riscv64") build=riscv64-linux ;;
        "Darwin arm64") build=aarch64-macos ;;
        *) fail "no executable is made for $(uname -sm); cargo install when-ready builds one" ;;
    esac

    if [ -z "$to" ]; then
        to=/usr/local/bin
        [ -w "$to" ] || to=${HOME:?}/.local/bin
    fi

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM

    fetch SHA256SUMS
    line=$(grep -E "  when-ready-[0-9][^ /]*-$build\$" "$work/SHA256SUMS") || fail "$from has no executable for $build"
    file=${line##* }
    fetch "$file"
    [ "$(sum "$work/$file")" = "${line%% *}" ] || fail "$from/$file is not what its sum says: not installed"

    mkdir -p "$to"
    chmod 755 "$work/$file"
    # Whole or not at all, also over one that is running.
    cp "$work/$file" "$to/.when-ready.$$"
    mv -f "$to/.when-ready.$$" "$to/when-ready"
    echo "$("$to/when-ready" --version) is in $to"
    case :$PATH: in
        *":$to:"*) ;;
        *) echo "$to is not in PATH" ;;
    esac
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

# fetch FILE: into the working directory.
fetch() {
    case $from in
        http://* | https://*)
            if command -v curl >/dev/null; then
                curl --fail --silent --show-error --location --output "$work/$1" "$from/$1"
            elif command -v wget >/dev/null; then
                wget -q -O "$work/$1" "$from/$1"
            else
                fail "neither curl nor wget is here"
            fi
            ;;
        *) cp "$from/$1" "$work/$1" ;;
    esac || fail "cannot fetch $from/$1"
}

# The sum of a file.
sum() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1"
    elif command -v shasum >/dev/null; then
        shasum -a 256 "$1"
    elif command -v openssl >/dev/null; then
        openssl dgst -sha256 -r "$1"
    else
        fail "nothing here computes SHA-256 sums (sha256sum, shasum, openssl)"
    fi | cut -d ' ' -f 1
}

main "$@"
