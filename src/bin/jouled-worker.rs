//! `jouled-worker`: runs one model for `jouled`, which starts it. See
//! `docs/worker-protocol.md`. `jouled-worker quantize` works for `joulectl models quantize`.

use jouled::runtime::llama;
use jouled::runtime::quantize::ARGUMENT;
use std::process::ExitCode;

fn main() -> ExitCode {
    let quantizes = std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == ARGUMENT);
    let ended = match quantizes {
        true => llama::quantize::run(),
        false => llama::worker::run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jouled-worker: {error}");
            ExitCode::FAILURE
        }
    }
}
