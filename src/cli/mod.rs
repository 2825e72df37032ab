//! What the command lines of both tools accept: apart from the binaries, so that manual pages,
//! shell completions and the commands in the documents are checked against it.

#[cfg(feature = "lab")]
pub mod joulectl;
pub mod jouled;
