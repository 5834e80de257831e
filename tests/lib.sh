# What tests/run and benches/run share; sourced by bash, in the repository's root.

# Network namespaces, packages and servers of another user take root: `as_root "$0" "$@"`.
as_root() {
    if [ "$(id -u)" -ne 0 ]; then
        exec sudo --preserve-env=PATH,HOME,CARGO_HOME,RUSTUP_HOME,CI "$@"
    fi
}

# Installs packages of Debian or Ubuntu, unless they are there.
install() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing: ${missing[*]}"
        DEBIAN_FRONTEND=noninteractive apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

# Builds the static release executable. Sets `target` and `static`.
build_static() {
    command -v cc >/dev/null && command -v readelf >/dev/null || install gcc libc6-dev binutils
    target="$(uname -m)-unknown-linux-musl"
    if command -v rustup >/dev/null; then
        rustup target add "$target"
    fi
    cargo build --release --locked --target "$target"
    static="${CARGO_TARGET_DIR:-$PWD/target}/$target/release/when-ready"
}

# Whether an executable is position independent, and its relocations are read-only once it runs.
is_hardened() {
    local headers dynamic
    headers=$(LC_ALL=C readelf --file-header --program-headers --wide "$1")
    dynamic=$(LC_ALL=C readelf --dynamic --wide "$1")
    grep -q 'Type: *DYN' <<<"$headers" && grep -q GNU_RELRO <<<"$headers" && grep -q 'NOW PIE' <<<"$dynamic" ||
        { echo "$1 is not position independent with read-only relocations" >&2; return 1; }
}
