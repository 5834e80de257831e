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

# Builds the static release executable; arguments go to cargo. Sets `target` and `static`.
build_static() {
    command -v cc >/dev/null || install gcc libc6-dev
    target="$(uname -m)-unknown-linux-musl"
    if command -v rustup >/dev/null; then
        rustup target add "$target"
        rustup component add rust-src
    fi
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
        echo "the source of Rust's standard library is missing: install rust-src" >&2
        return 1
    fi
    RUSTC_BOOTSTRAP=1 cargo smallest --target "$target" "$@"
    static="${CARGO_TARGET_DIR:-$PWD/target}/$target/release/when-ready"
}
