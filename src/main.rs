//! Waits until targets are ready, then runs the command in its own place.
#![deny(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use nix::sys::signal::{self, SigHandler, Signal};
use when_ready::program::{self, Process};

#[cfg(all(
    target_env = "musl",
    panic = "abort",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "x86")
))]
mod no_unwinder;

ctor::declarative::ctor! {
    /// Before std ignores SIGPIPE.
    #[ctor(unsafe)]
    fn before_main() {
        program::before_main();
    }
}

#[expect(unsafe_code, reason = "nix counts each change of an action as unsafe, because of handlers: this is none")]
fn ignore(signal: Signal) {
    // sigaction(2) fails for no signal that can be ignored.
    let _ = unsafe { signal::signal(signal, SigHandler::SigIgn) };
}

#[expect(clippy::disallowed_methods, reason = "main alone touches argv and the environment")]
fn main() -> ExitCode {
    let is_ours = |(name, _): &(OsString, OsString)| name.as_encoded_bytes().starts_with(program::PREFIX.as_bytes());
    program::run(Process {
        args: env::args_os().skip(1).collect(),
        ours: env::vars_os().filter(is_ours).collect(),
        others: &|name| env::var_os(name),
        ignore,
    })
}
