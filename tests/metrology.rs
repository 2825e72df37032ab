//! The proof of the measuring core in a size that each run of the test suite can afford: known
//! waveforms against what is measured of them, and hundreds of chips against the stated
//! uncertainties. `make bench-accuracy` and `make bench-monte-carlo` print the whole of it.

#[path = "../benches/metrology/mod.rs"]
#[expect(dead_code, reason = "the benches print more of it")]
mod metrology;

use jouled::sensor::ina2xx::CycleMode;
use jouled::sensor::ina219::AdcMode;
use metrology::accuracy::{self, INSIDE, Row};
use metrology::cases::{self, Case};
use metrology::chips::{self, COVERED, Group};
use metrology::rig::Rig;

const SEED: u64 = 11;
/// Of hundreds of chips the share that is covered is only known to so much: three standard
/// deviations of a binomial.
fn least_covered(figures: u64) -> f64 {
    COVERED - 3.0 * (COVERED * (1.0 - COVERED) / figures as f64).sqrt()
}

fn assert_demands(rows: &[Row]) {
    for row in rows {
        assert!(row.failures.is_empty(), "{:?}", row.failures);
    }
    let inside: usize = rows.iter().map(|row| row.inside().0).sum();
    let all: usize = rows.iter().map(|row| row.inside().1).sum();
    let share = inside as f64 / all as f64;
    assert!(share >= INSIDE, "{inside} of {all} inside their u95");
}

fn measured(width: f64, one: impl Fn(&Case, u64) -> Row) -> Vec<Row> {
    let cases = cases::cases(width);
    cases
        .iter()
        .zip(SEED..)
        .map(|(case, seed)| one(case, seed))
        .collect()
}

#[test]
fn known_waveforms_have_their_energy_with_an_ideal_converter() {
    let width = 4.792e-3;
    assert_demands(&measured(width, |case, seed| {
        accuracy::ideal(case, width, 8_000.0 * width, 60, seed)
    }));
}

#[test]
fn known_waveforms_have_their_energy_with_the_chip_and_its_driver() {
    for bus_adc in [AdcMode::Bits12, AdcMode::Bits9] {
        let mut rig = Rig::perfect(AdcMode::Avg8, bus_adc);
        rig.unit.clock_ratio = 0.94;
        let width = rig.mode().cycle().as_secs_f64();
        assert_demands(&measured(width, |case, seed| {
            accuracy::real(case, &rig, 8_000.0 * width, 60, seed)
        }));
    }
}

/// Three hundred chips know a standard deviation to 4 %: enough to notice a term that is
/// missing, while the bench with its ten thousand holds the demands themselves.
#[test]
fn stated_uncertainties_are_those_of_hundreds_of_chips() {
    let tallies = chips::measure(300, SEED);
    assert_eq!(tallies.len(), 14);
    for ((group, name), tally) in tallies {
        assert_eq!(tally.withheld, 0, "{name}");
        let (covered, least) = (tally.covered(), least_covered(300));
        assert!(covered >= least, "{name}: {covered} covered");
        let ratio = tally.ratio();
        assert!(ratio < 1.22, "{name}: {ratio} times the stated uncertainty");
        if group == Group::GrossPhase {
            assert!(ratio > 0.80, "{name}: {ratio} times the stated uncertainty");
        }
    }
}
