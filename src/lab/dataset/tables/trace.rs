//! A row a window of a rail's power trace.

use super::super::column::Columns;
use crate::record::job::Trace;

/// A chunk with the start of each window.
pub struct Windows {
    chunk: Trace,
    starts: Vec<u64>,
}

impl Windows {
    pub fn of(chunk: &Trace) -> Self {
        let starts = chunk.dt_ns.iter().scan(chunk.t0_mono_ns, |t, dt| {
            let start = *t;
            *t = t.saturating_add(*dt);
            Some(start)
        });
        Self {
            starts: starts.collect(),
            chunk: chunk.clone(),
        }
    }
}

pub fn columns() -> Columns<Windows> {
    let mut c = Columns::<Windows>::new();
    c.text("id", "job", |r, _| Some(r.chunk.id.as_str().into()));
    c.always();
    c.int("attempt", "from 1", |r, _| Some(r.chunk.attempt.into()));
    c.always();
    c.text("rail", "its name", |r, _| {
        Some(r.chunk.rail.as_str().into())
    });
    c.always();
    c.bool("simulated", "whether the rail is simulated", |r, _| {
        Some(r.chunk.simulated)
    });
    c.time();
    c.int("seq", "record of the attempt and rail", |r, _| {
        Some(r.chunk.seq)
    });
    c.always();
    c.int(
        "t_mono_ns",
        "the window's start on the board's CLOCK_MONOTONIC",
        |r, n| Some(r.starts[n]),
    );
    c.always();
    c.int("dt_ns", "its length", |r, n| Some(r.chunk.dt_ns[n]));
    c.always();
    c.float(
        "power_w",
        "mean over the window; null: nothing was measured",
        |r, n| r.chunk.power_w[n],
    );
    c
}
