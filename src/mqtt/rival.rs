//! Another client with this board's client id. Each connect of one ends the connection of the
//! other, and a broker need not say why: mosquitto 2.0 closes without a word.

use super::loss::Loss;
use crate::units::Span;

/// A connection that ends sooner did not come to rest.
const SOON: Span = Span::from_millis(60_000);
const SUSPICIOUS: u32 = 3;

/// Connections that the broker closed soon after it had accepted them, one after the other.
#[derive(Debug, Default)]
pub struct Rivalry {
    closed_soon: u32,
}

impl Rivalry {
    /// What to make of the loss of a connection that stood for this long.
    pub fn judge(&mut self, loss: Loss, stood: Span) -> Loss {
        if stood >= SOON {
            self.closed_soon = 0;
        }
        if loss != Loss::Closed {
            return loss;
        }
        self.closed_soon = self.closed_soon.saturating_add(1);
        match self.closed_soon {
            ..SUSPICIOUS => Loss::Closed,
            SUSPICIOUS.. => Loss::ClosedAgain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_short_connections_in_a_row_are_suspicious() {
        let mut rivalry = Rivalry::default();
        let mut judge =
            |seconds: u64| rivalry.judge(Loss::Closed, Span::from_millis(seconds * 1_000));
        assert_eq!(
            [judge(1), judge(0), judge(50)].map(|loss| loss == Loss::ClosedAgain),
            [false, false, true]
        );
        assert_eq!(judge(1), Loss::ClosedAgain);
        // One that came to rest begins the count anew.
        assert_eq!(judge(61), Loss::Closed);
        assert_eq!(rivalry.judge(Loss::TakenOver, Span(0)), Loss::TakenOver);
    }
}
