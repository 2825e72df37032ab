//! How far a reading is, on a terminal alone.

use std::io::{IsTerminal, Write, stderr};

/// A bar on stderr. The line ends when it is dropped.
pub(super) struct Bar {
    title: &'static str,
    terminal: bool,
    shown: Option<u32>,
}

impl Bar {
    pub fn new(title: &'static str) -> Bar {
        Bar {
            title,
            terminal: stderr().is_terminal(),
            shown: None,
        }
    }

    /// `share` of 1 is all of it.
    pub fn show(&mut self, share: f64) {
        let percent = (share.clamp(0.0, 1.0) * 100.0) as u32;
        if self.terminal && self.shown != Some(percent) {
            self.shown = Some(percent);
            let filled = "#".repeat(percent as usize / 4);
            // eprint! lets none through.
            let _ = stderr().write_all(b"\r");
            eprint!("{} [{filled:<25}] {percent:>3} %", self.title);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown.is_some() {
            eprintln!();
        }
    }
}
