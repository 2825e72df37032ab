//! A line per rail and second, for pipes and files.

use super::{Follow, Frame};
use crate::clock;
use crate::probe::figure::{self, or_missing};
use crate::units::Span;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

const EVERY: Span = Span::from_millis(1_000);
/// How soon it is seen that the end is wanted.
const NAP: Span = Span::from_millis(100);

/// Writes until `ended` is set, `span` has passed, or nobody reads any more.
pub fn run(
    follow: &mut Follow,
    out: &mut impl Write,
    span: Option<Span>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let start = clock::now();
    let mut next = start + EVERY;
    let mut faults = Vec::new();
    loop {
        while clock::now() < next {
            if ended.load(Ordering::Acquire) {
                return Ok(());
            }
            clock::sleep(NAP.min(next.since(clock::now())));
        }
        let frame = follow.frame();
        let mut text = lines(&frame);
        if frame.faults != faults {
            for (name, reason) in &frame.faults {
                text.push_str(&format!("# {name}: {reason}\n"));
            }
            faults.clone_from(&frame.faults);
        }
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        if span.is_some_and(|span| clock::now().since(start) >= span) {
            return Ok(());
        }
        next = next + EVERY;
    }
}

/// `12.0 s  input  board-input  5.123 W  5.100 V  1.004 A  208.7/s  100.0 %  614.8 J  good`
fn lines(frame: &Frame) -> String {
    let name_width = frame.rails.iter().map(|rail| rail.name.chars().count());
    let name_width = name_width.max().unwrap_or(0);
    let mut text = String::new();
    for rail in &frame.rails {
        let simulated = if rail.simulated { "  SIMULATED" } else { "" };
        text.push_str(&format!(
            "{:>7.1} s  {:<name_width$}  {:<11}  {:>9}  {:>8}  {:>8}  {:>8}  {:>7}  {:>9}  {}{simulated}\n",
            frame.elapsed.as_secs_f64(),
            rail.name,
            rail.boundary.to_string(),
            or_missing(rail.power, |power| figure::watts(power.0)),
            or_missing(rail.voltage, |voltage| figure::volts(voltage.0)),
            or_missing(rail.current, |current| figure::amps(current.0)),
            or_missing(rail.rate_hz, figure::rate),
            or_missing(rail.coverage, figure::share),
            or_missing(rail.energy, |energy| figure::joules(energy.0)),
            figure::quality(rail.quality),
        ));
    }
    text
}
