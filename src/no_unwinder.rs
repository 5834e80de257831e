//! In place of the library that walks the stack, for the static release executable.
//!
//! It aborts on panic, so nothing unwinds, and it has no symbols, so a backtrace would be addresses
//! alone. With functions that find no frame the optimizer sees that std's printer of backtraces, with
//! its reader of debug information, is never called: CONTRIBUTING.md says what that saves and how it fails.
//! The message of a panic, and its place, stay.
#![expect(unsafe_code, reason = "a name that the linker sees counts as unsafe; nothing in here is done that could be")]

use std::process;

/// `_URC_END_OF_STACK` of the Itanium C++ ABI: there is no frame.
const END_OF_STACK: i32 = 5;

/// Calls `_trace` for no frame.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: usize, _argument: usize) -> i32 {
    END_OF_STACK
}

/// Functions that ask about a frame, or go on from one: there is none, so nobody calls it.
macro_rules! never_called {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() {
                process::abort();
            }
        )*
    };
}

never_called! {
    _Unwind_GetDataRelBase _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_Resume _Unwind_SetGR _Unwind_SetIP
}
