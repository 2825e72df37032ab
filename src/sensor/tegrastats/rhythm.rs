//! How far apart the lines come: tegrastats sleeps for its interval and then reads its
//! devices, which takes longer than a short interval.

use crate::units::{MonoNs, Span};

const LINES: usize = 7;
/// Lines further apart than this are not slow but late.
const SLOWEST: Span = Span::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Rhythm {
    last: Option<MonoNs>,
    /// A ring of the last distances.
    distances: [Span; LINES],
    seen: usize,
}

impl Rhythm {
    /// A line has come.
    pub fn note(&mut self, at: MonoNs) {
        if let Some(last) = self.last.replace(at) {
            self.distances[self.seen % LINES] = at.since(last);
            self.seen += 1;
        }
    }

    /// The median distance of the last eight lines, at most 250 ms; zero before there are
    /// as many.
    pub fn usual(&self) -> Span {
        if self.seen < LINES {
            return Span(0);
        }
        let mut sorted = self.distances;
        sorted.sort_unstable();
        sorted[LINES / 2].min(SLOWEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(times_ms: impl IntoIterator<Item = u64>) -> Span {
        let mut rhythm = Rhythm::default();
        for ms in times_ms {
            rhythm.note(MonoNs(ms * 1_000_000));
        }
        rhythm.usual()
    }

    #[test]
    fn one_late_line_changes_nothing() {
        assert_eq!(
            usual([0, 60, 120, 180, 240, 900, 960, 1020]),
            Span::from_millis(60)
        );
        assert_eq!(usual([0, 60, 120]), Span(0));
    }

    #[test]
    fn lines_that_come_in_blocks_are_not_a_slow_rhythm() {
        assert_eq!(usual((0..10).map(|block| block * 1000)), SLOWEST);
    }
}
