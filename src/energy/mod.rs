//! The measuring core: from power windows and token times to energies with their
//! uncertainty. Pure: no I/O, no clock. METROLOGY.md's rules, by name.
//!
//! ```text
//! windows → Trace → Measured → Estimate ┬→ timeline (parts and total)
//!                                       ├→ tokens
//! idle phases → Baseline ───────────────┴→ phases → figures → summary
//! ```
//!
//! A [`Figure`] is an [`Estimate`] or the [`Reason`] why there is none. An estimate's unit is
//! in the name of what holds it (`energy_j`, `power_w`).

mod attribute;
mod budget;
mod compare;
mod distribution;
mod estimate;
mod figures;
mod gap;
mod idle;
pub mod lag;
mod mbu;
mod measured;
mod reason;
mod reconcile;
mod settling;
mod summary;
mod timeline;
mod trace;

#[cfg(test)]
mod signal;

pub use attribute::{TokenEnergies, TokenEnergy, attribute, attribute_part};
pub use budget::Budget;
pub use compare::{Ratio, Sensors, Shared, Verdict};
pub use distribution::{Distribution, token_times_s};
pub use estimate::{Estimate, Figure};
pub use figures::{Figures, GrossNet, PhaseEnergy, RepEnergy};
pub use idle::{Baseline, IdleLevel};
pub use mbu::DecodeReads;
pub use measured::{MIN_COVERAGE, MIN_WINDOWS, Measured, RESOLVED_WINDOWS};
pub use reason::Reason;
pub use reconcile::{Line, Reconciled, reconcile};
pub use settling::{GIVE_UP, Settling, settling};
pub use summary::{Statistic, student_t};
pub use timeline::{Part, PhaseSpan, timeline};
pub use trace::Trace;
