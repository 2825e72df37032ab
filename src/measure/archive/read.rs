//! Reading a raw file, which may be damaged, or made to do harm.

use super::line::{End, FORMAT, Header, Line, Rail, VERSION};
use super::{Archive, MOST_BYTES, MOST_LINE_BYTES, MOST_RAILS, MOST_WINDOWS, sizes};
use crate::energy::Trace;
use crate::measure::context::Context;
use crate::measure::meter::Recorded;
use crate::measure::observed::Observed;
use crate::measure::tokens::Extent;
use crate::record::result::Build;
use crate::sensor::Window;
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};

/// Why raw data can't be used. `line` counts from 1.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ReadError {
    pub line: u64,
    pub what: What,
}

#[derive(Debug, thiserror::Error)]
pub enum What {
    #[error("can't be read: {0}; the file is damaged, or no gzip file")]
    Io(#[from] std::io::Error),
    #[error("is longer than {MOST_LINE_BYTES} bytes, which no raw data of jouled is")]
    LongLine,
    #[error("the file holds more than jouled ever writes ({0})")]
    TooMuch(&'static str),
    #[error("is none of jouled's raw data: {0}")]
    NotRaw(serde_json::Error),
    #[error(
        "this file was written by jouled {} and can't be read by this one ({}): {error}; \
         use joulectl of that version",
        .written.version, env!("CARGO_PKG_VERSION")
    )]
    OtherVersion {
        written: Build,
        error: serde_json::Error,
    },
    #[error(
        "is format \"{format}\" version {v}; this joulectl reads \"{FORMAT}\" version {VERSION}"
    )]
    Format { format: String, v: u32 },
    #[error("is out of place: {0}")]
    OutOfPlace(&'static str),
    #[error("holds windows that don't fit: {0}")]
    Windows(&'static str),
    #[error("the file ends too early; it was cut off")]
    CutOff,
}

/// Reads a raw file to its end.
pub fn read(input: impl Read) -> Result<Archive, ReadError> {
    let decoder = MultiGzDecoder::new(BufReader::new(input));
    read_lines(BufReader::new(decoder.take(MOST_BYTES + 1)))
}

/// Reads what is in a raw file, decompressed.
pub fn read_lines(input: impl BufRead) -> Result<Archive, ReadError> {
    let mut lines = Lines {
        input,
        line: 0,
        bytes: 0,
        written: None,
    };
    let archive = lines.archive();
    archive.map_err(|what| ReadError {
        line: lines.line,
        what,
    })
}

struct Lines<R> {
    input: R,
    line: u64,
    bytes: u64,
    written: Option<Build>,
}

impl<R: BufRead> Lines<R> {
    fn archive(&mut self) -> Result<Archive, What> {
        match self.next()? {
            Some(Line::Header(header)) => self.header(header)?,
            Some(_) => return Err(What::OutOfPlace("the header comes first")),
            None => return Err(What::CutOff),
        }
        let context = self.context()?;
        let observed = self.observed()?;
        let live = self.live()?;
        let mut rails: Vec<Recorded> = Vec::new();
        let mut windows = 0;
        loop {
            match self.next()?.ok_or(What::CutOff)? {
                Line::Rail(_) if rails.len() as u64 >= MOST_RAILS => {
                    return Err(What::TooMuch("rails"));
                }
                Line::Rail(rail) => rails.push(recorded(*rail)),
                Line::Windows(packed) => {
                    let rail = rails.last_mut();
                    let rail = rail.ok_or(What::OutOfPlace("windows come after their rail"))?;
                    for window in packed.unpack().map_err(What::Windows)? {
                        push(&mut rail.trace, &window)?;
                        windows += 1;
                    }
                    if windows > MOST_WINDOWS {
                        return Err(What::TooMuch("windows"));
                    }
                }
                Line::End(end) => {
                    let rails_read = rails.len() as u64;
                    let read = End {
                        rails: rails_read,
                        windows,
                    };
                    if end != read {
                        return Err(What::OutOfPlace("rails or windows are missing before it"));
                    }
                    break;
                }
                _ => return Err(What::OutOfPlace("rails, windows or the end are due")),
            }
        }
        if self.next()?.is_some() {
            return Err(What::OutOfPlace("the file had ended"));
        }
        Ok(Archive {
            context,
            observed,
            rails,
            live,
        })
    }

    fn header(&mut self, header: Header) -> Result<(), What> {
        let Header { format, v, jouled } = header;
        if format != FORMAT || v != VERSION {
            return Err(What::Format { format, v });
        }
        self.written = Some(jouled);
        Ok(())
    }

    fn context(&mut self) -> Result<Context, What> {
        match self.next()?.ok_or(What::CutOff)? {
            Line::Context(context) => Ok(*context),
            _ => Err(What::OutOfPlace("the context comes second")),
        }
    }

    fn observed(&mut self) -> Result<Observed, What> {
        match self.next()?.ok_or(What::CutOff)? {
            Line::Observed(observed) => {
                let crowd = sizes(&observed).into_iter().find(|(_, n, most)| n > most);
                match crowd {
                    Some((what, ..)) => Err(What::TooMuch(what)),
                    None => Ok(*observed),
                }
            }
            _ => Err(What::OutOfPlace("what was observed comes third")),
        }
    }

    fn live(&mut self) -> Result<Vec<Extent>, What> {
        match self.next()?.ok_or(What::CutOff)? {
            Line::Live(live) => Ok(live),
            _ => Err(What::OutOfPlace("live records come fourth")),
        }
    }

    fn next(&mut self) -> Result<Option<Line>, What> {
        self.line += 1;
        let mut json = Vec::new();
        let most = MOST_LINE_BYTES + 1;
        let read = (&mut self.input).take(most).read_until(b'\n', &mut json)? as u64;
        self.bytes += read;
        if self.bytes > MOST_BYTES {
            return Err(What::TooMuch("bytes"));
        }
        if read == 0 {
            return Ok(None);
        }
        if read == most {
            return Err(What::LongLine);
        }
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| match &self.written {
                Some(written) if written.version != env!("CARGO_PKG_VERSION") => {
                    let written = written.clone();
                    What::OtherVersion { written, error }
                }
                _ => What::NotRaw(error),
            })
    }
}

/// What is written was in a trace, and so every window must find its place in one.
fn push(trace: &mut Trace, window: &Window) -> Result<(), What> {
    let is_early = trace.measured_until().is_some_and(|end| window.t0 < end);
    let before = trace.windows();
    trace.push(window);
    match is_early || trace.windows() == before {
        true => Err(What::Windows("a window is early, empty or implausible")),
        false => Ok(()),
    }
}

fn recorded(rail: Rail) -> Recorded {
    let Rail {
        spec,
        missed_deadlines,
        limits,
    } = rail;
    Recorded {
        spec,
        trace: Trace::new(limits),
        missed_deadlines,
    }
}
