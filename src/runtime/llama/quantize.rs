//! `jouled-worker quantize`: llama.cpp's quantiser in a process of its own, since llama.cpp ends
//! in a signal on some files. It reads one model and writes one file, and gives up the rest
//! before it looks at either.

use super::ffi;
use super::log::Level;
use super::worker::{private_stdout, revision};
use crate::runtime::confine::{self, Policy};
use crate::runtime::quantize::{News, Order, Outcome};
use crate::runtime::spawn::die_with_parent;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::{Mutex, PoisonError};

/// The text of one order.
const MOST_ORDER_BYTES: u64 = 64 << 10;

/// Runs until the order is carried out, or the input ends.
pub fn run() -> io::Result<()> {
    die_with_parent()?;
    let mut output = private_stdout()?;
    let backend = match ffi::init(&std::sync::Arc::default()) {
        Ok(backend) => backend,
        Err(failure) => return tell(&mut output, &failed(failure.message)),
    };
    let engine = revision();
    tell(&mut output, &News::Engine { revision: engine })?;
    let order = match read_order()? {
        Ok(order) => order,
        Err(message) => return tell(&mut output, &failed(message)),
    };
    confine(&order);
    end_with_input()?;
    let last = carry_out(&order, &mut output);
    tell(&mut output, &last)?;
    drop(backend);
    Ok(())
}

fn failed(message: String) -> News {
    News::Failed { message }
}

fn tell(output: &mut File, news: &News) -> io::Result<()> {
    let line = serde_json::to_string(news).expect("news have only JSON-able fields");
    writeln!(output, "{line}")
}

fn read_order() -> io::Result<Result<Order, String>> {
    let mut line = String::new();
    let input = io::stdin().lock();
    input.take(MOST_ORDER_BYTES).read_line(&mut line)?;
    Ok(serde_json::from_str(&line).map_err(|error| format!("this is no order: {error}")))
}

/// What a file could make llama.cpp do beyond reading it and writing the other.
fn confine(order: &Order) {
    let policy = Policy {
        read: vec![order.input.clone().into()],
        write: order.output.iter().map(Into::into).collect(),
        ..Policy::default()
    };
    for undone in confine::enter(&policy) {
        eprintln!("jouled-worker: not in force: {undone}");
    }
}

/// Nobody wants the work any more when the input ends.
fn end_with_input() -> io::Result<()> {
    std::thread::Builder::new()
        .name("input".to_owned())
        .stack_size(128 * 1024)
        .spawn(|| {
            let mut rest = [0; 64];
            let mut input = io::stdin().lock();
            while input.read(&mut rest).is_ok_and(|n| n > 0) {}
            ffi::exit_now(1);
        })?;
    Ok(())
}

fn carry_out(order: &Order, output: &mut File) -> News {
    let heard = Mutex::new((Notes::default(), output));
    let quantized = ffi::quantize::quantize(order, &|level, piece| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (notes, output) = &mut *heard;
        if let Some(name) = notes.take(level, piece) {
            // Who no longer listens has closed the input too.
            let _ = tell(output, &News::Tensor { name });
        }
    });
    let (notes, _) = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    match quantized {
        Ok(true) => News::Done(notes.outcome),
        Ok(false) => failed(notes.complaint()),
        Err(_) => failed("the path has a NUL byte in it".to_owned()),
    }
}

/// What the quantiser only tells in its log.
#[derive(Debug, Default)]
struct Notes {
    outcome: Outcome,
    errors: String,
}

/// A file's own text is in its errors.
const MOST_ERROR_BYTES: usize = 4 << 10;

impl Notes {
    /// Takes a piece of the log, and returns the tensor whose turn it says it is.
    fn take(&mut self, level: Level, piece: &str) -> Option<String> {
        if level == Level::Error && self.errors.len() + piece.len() <= MOST_ERROR_BYTES {
            self.errors.push_str(piece);
        }
        if let Some(bytes) = quantized_bytes(piece) {
            self.outcome.tensor_bytes = Some(bytes);
        }
        if let Some(count) = fallbacks(piece) {
            self.outcome.fallback_tensors = count;
        }
        self.outcome.needs_matrix |= piece.contains("will require an imatrix");
        tensor(piece).map(str::to_owned)
    }

    /// The last thing that was wrong, as a part of a sentence.
    fn complaint(&self) -> String {
        let lines = self.errors.lines().map(str::trim);
        let said = lines.rev().find(|line| !line.is_empty());
        let said = said.unwrap_or("llama.cpp's quantiser does not say why it failed");
        said.rsplit_once("failed to quantize: ")
            .map_or(said, |(_, why)| why)
            .to_owned()
    }
}

/// `[   1/ 272]   token_embd.weight  - [ 64, 262, 1, 1], type = f32, `
fn tensor(piece: &str) -> Option<&str> {
    let (count, rest) = piece.strip_prefix('[')?.split_once(']')?;
    let (n, of) = count.split_once('/')?;
    let is_number = |text: &str| text.trim().bytes().all(|byte| byte.is_ascii_digit());
    (is_number(n) && is_number(of))
        .then(|| rest.split_whitespace().next())
        .flatten()
}

/// `llama_model_quantize_impl: quant size  =    72.36 MiB (4.51 BPW)`
fn quantized_bytes(piece: &str) -> Option<u64> {
    let (_, size) = piece.split_once(": quant size")?;
    let size = size.trim_start().strip_prefix('=')?;
    let mib: f64 = size.split_whitespace().next()?.parse().ok()?;
    (mib >= 0.0).then_some((mib * 1_048_576.0).round() as u64)
}

/// `…: WARNING: 180 of 272 tensor(s) required fallback quantization`
fn fallbacks(piece: &str) -> Option<u32> {
    let (before, _) = piece.split_once(" tensor(s) required fallback")?;
    let (_, count) = before.rsplit_once("WARNING: ")?;
    count.split_once(" of ")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_log_tells_whose_turn_it_is_and_what_became_of_the_model() {
        let mut notes = Notes::default();
        assert_eq!(notes.outcome.tensor_bytes, None);
        let turn = "[   3/ 272]                blk.0.ffn_down.weight - [ 1536,   576,     1,     1], type =    f16, ";
        assert_eq!(
            notes.take(Level::Info, turn).as_deref(),
            Some("blk.0.ffn_down.weight")
        );
        for piece in [
            "converting to q4_K .. ",
            "size =     1.69 MiB ->     0.47 MiB\n",
            "llama_model_quantize_impl: model size  =   256.63 MiB (16.00 BPW)\n",
            "llama_model_quantize_impl: quant size  =    98.50 MiB (6.14 BPW)\n",
            "llama_model_quantize_impl: WARNING: 180 of 272 tensor(s) required fallback quantization\n",
        ] {
            assert_eq!(notes.take(Level::Info, piece), None, "{piece}");
        }
        let expected = Outcome {
            tensor_bytes: Some((98 << 20) + (1 << 19)),
            fallback_tensors: 180,
            needs_matrix: false,
        };
        assert_eq!(notes.outcome, expected);
        notes.take(
            Level::Warn,
            "x: WARNING: dry run completed successfully, but actually completing this \
             quantization will require an imatrix!\n",
        );
        assert!(notes.outcome.needs_matrix);
    }

    #[test]
    fn a_complaint_is_the_last_one_without_its_function() {
        let mut notes = Notes::default();
        assert!(notes.complaint().contains("does not say why"));
        notes.take(Level::Error, "gguf_init: bad\n");
        notes.take(
            Level::Error,
            "llama_model_quantize: failed to quantize: requantizing from type q4_0 is disabled\n\n",
        );
        assert_eq!(notes.complaint(), "requantizing from type q4_0 is disabled");
    }

    proptest! {
        #[test]
        fn whatever_a_file_has_logged_is_bounded(pieces in proptest::collection::vec(".{0,300}", 0..60)) {
            let mut notes = Notes::default();
            for piece in &pieces {
                notes.take(Level::Error, piece);
            }
            prop_assert!(notes.errors.len() <= MOST_ERROR_BYTES);
            notes.complaint();
        }

        #[test]
        fn numbers_in_the_log_are_read_or_not(n in any::<f64>(), k in any::<u64>()) {
            quantized_bytes(&format!("x: quant size  = {n} MiB"));
            let piece = format!("WARNING: {k} of 9 tensor(s) required fallback");
            prop_assert_eq!(fallbacks(&piece), u32::try_from(k).ok());
        }
    }
}
