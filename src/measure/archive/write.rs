//! Writing a raw file.

use super::line::{CHUNK, End, FORMAT, Header, Line, Rail, VERSION, Windows};
use super::{MOST_BYTES, MOST_LINE_BYTES, MOST_RAILS, MOST_WINDOWS, sizes};
use crate::measure::context::Context;
use crate::measure::meter::Recorded;
use crate::measure::observed::Observed;
use crate::measure::tokens::Extent;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// Why raw data can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it has more {what} than the {most} that a raw file can hold; run shorter attempts")]
    TooLarge { what: &'static str, most: u64 },
    /// A number that is none, for instance.
    #[error("{what} can't be read back: {why}; please report it")]
    Unreadable { what: &'static str, why: String },
}

/// Writes everything that `records` takes. Returns `out` with all of it written to it.
pub fn write<W: Write>(
    out: W,
    context: &Context,
    observed: &Observed,
    rails: &[Recorded],
    live: &[Extent],
) -> Result<W, WriteError> {
    let windows = rails.iter().map(|rail| rail.trace.windows()).sum();
    let recorded = [
        ("rails", rails.len() as u64, MOST_RAILS),
        ("windows", windows, MOST_WINDOWS),
    ];
    for (what, number, limit) in recorded.into_iter().chain(sizes(observed)) {
        if number > limit {
            return Err(WriteError::TooLarge { what, most: limit });
        }
    }
    let mut file = Lines {
        out: GzEncoder::new(out, Compression::default()),
        bytes: 0,
    };
    file.put(&Line::Header(Header {
        format: FORMAT.to_owned(),
        v: VERSION,
        jouled: context.jouled.clone(),
    }))?;
    let context_line = Line::Context(Box::new(context.clone()));
    let json = file.put(&context_line)?;
    same(
        "its context",
        &json,
        |line| matches!(line, Line::Context(read) if **read == *context),
    )?;
    let json = file.put(&Line::Observed(Box::new(observed.clone())))?;
    same(
        "what was observed",
        &json,
        |line| matches!(line, Line::Observed(read) if **read == *observed),
    )?;
    file.put(&Line::Live(live.to_vec()))?;
    for rail in rails {
        file.rail(rail)?;
    }
    file.put(&Line::End(End {
        rails: rails.len() as u64,
        windows,
    }))?;
    Ok(file.out.finish()?)
}

/// A number that is none would be written as `null`, and a figure lost without a word.
fn same(what: &'static str, json: &[u8], is: impl Fn(&Line) -> bool) -> Result<(), WriteError> {
    let unreadable = |why: String| WriteError::Unreadable { what, why };
    let line = serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()))?;
    match is(&line) {
        true => Ok(()),
        false => Err(unreadable("it comes back as something else".to_owned())),
    }
}

struct Lines<W: Write> {
    out: GzEncoder<W>,
    bytes: u64,
}

impl<W: Write> Lines<W> {
    fn rail(&mut self, rail: &Recorded) -> Result<(), WriteError> {
        let Recorded {
            spec,
            trace,
            missed_deadlines,
        } = rail;
        let head = Line::Rail(Box::new(Rail {
            spec: spec.clone(),
            missed_deadlines: *missed_deadlines,
            limits: trace.limits().clone(),
        }));
        let json = self.put(&head)?;
        same("a rail", &json, |line| {
            matches!(line, Line::Rail(read)
                if read.spec == *spec && read.limits == *trace.limits())
        })?;
        let mut windows = trace.iter_windows();
        loop {
            let chunk: Vec<_> = windows.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            self.put(&Line::Windows(Windows::pack(&chunk)))?;
        }
    }

    /// Returns the line's JSON.
    fn put(&mut self, line: &Line) -> Result<Vec<u8>, WriteError> {
        let mut json = serde_json::to_vec(line).map_err(io::Error::from)?;
        json.push(b'\n');
        self.bytes += json.len() as u64;
        if json.len() as u64 > MOST_LINE_BYTES {
            let what = "bytes of a line";
            let most = MOST_LINE_BYTES;
            return Err(WriteError::TooLarge { what, most });
        }
        if self.bytes > MOST_BYTES {
            let what = "bytes";
            let most = MOST_BYTES;
            return Err(WriteError::TooLarge { what, most });
        }
        self.out.write_all(&json)?;
        Ok(json)
    }
}
