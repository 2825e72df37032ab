//! `jouled-worker`: runs one model for `jouled`, which starts it. See
//! `docs/worker-protocol.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match jouled::runtime::llama::worker::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jouled-worker: {error}");
            ExitCode::FAILURE
        }
    }
}
