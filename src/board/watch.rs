//! A board under work: everything that is looked at again and again while an attempt runs.

use super::evidence::{EvidenceWatch, Finding};
use super::facts::Host;
use super::moment::{Moment, Outlook};

/// Looks at a board from the beginning of an attempt to its end.
pub struct BoardWatch<'a> {
    outlook: Outlook,
    throttling: EvidenceWatch<'a>,
    under_voltage: EvidenceWatch<'a>,
}

impl<'a> BoardWatch<'a> {
    /// Finds what there is to look at, and what evidence there is already; with the board
    /// as it is before the attempt. It may run a command: not to be called within a measured
    /// window; nor [`Self::end`].
    pub fn begin(host: &'a Host) -> (Self, Moment) {
        let evidence = |list| EvidenceWatch::begin(list, &host.sysfs);
        let watch = Self {
            outlook: Outlook::find(host),
            throttling: evidence(&host.profile.throttle),
            under_voltage: evidence(&host.profile.under_voltage),
        };
        let before = watch.outlook.look();
        (watch, before)
    }

    /// The board at this moment. Only files that are open already are read.
    pub fn look(&mut self) -> Moment {
        self.throttling.look();
        self.under_voltage.look();
        self.outlook.look()
    }

    /// Whether the board held itself back, and whether its supply fell too low.
    pub fn end(self) -> (Finding, Finding) {
        (self.throttling.end(), self.under_voltage.end())
    }
}
