//! `println!` and its like for commands whose reader may go before they end (`| head -1`).
//!
//! The macros of the standard library panic then. These shadow them in the whole library, so
//! that no command has to think of it: what nobody reads any more is dropped, and the command
//! runs to its end, stops what it has started, and its exit code still says how the work went.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};

macro_rules! print {
    ($($text:tt)*) => { $crate::print::out(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::print::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::err(format_args!($($text)*)) };
}

macro_rules! eprintln {
    () => { $crate::print::err(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::err(format_args!("{}\n", format_args!($($text)*))) };
}

/// To standard output.
///
/// # Panics
///
/// Where it can't be written for another reason than that its reader is gone: a file on a full
/// disk must not look like the whole result.
pub fn out(text: Arguments) {
    match stdout().lock().write_fmt(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            panic!("the standard output can't be written: {error}")
        }
        _ => {}
    }
}

/// To standard error. Where that can't be written, there is nobody to tell.
pub fn err(text: Arguments) {
    let _ = stderr().lock().write_fmt(text);
}
