//! Prints how far energies of known waveforms are off, beside what is stated of them, for an
//! ideal converter and for the INA219's registers read by the driver. Ends with a failure when
//! a demand is not met. `make bench-accuracy`.

#[path = "../metrology/mod.rs"]
#[expect(dead_code, reason = "the other proof's half")]
mod metrology;

use jouled::sensor::ina2xx::CycleMode;
use jouled::sensor::ina219::AdcMode;
use metrology::accuracy::{self, INSIDE, Lot, Row};
use metrology::cases;
use metrology::rig::Rig;
use std::process::ExitCode;

/// Windows that each case is measured with.
const WINDOWS: f64 = 40_000.0;
/// Phases of either kind, and a quarter of the tokens, of a case.
const EACH: usize = 500;

/// Modes, and how far the chip's clock is off in each.
const MODES: [(AdcMode, AdcMode, f64); 2] = [
    (AdcMode::Avg8, AdcMode::Bits12, 1.043),
    (AdcMode::Bits12, AdcMode::Bits12, 0.967),
];

fn main() -> ExitCode {
    let mut failures = Vec::new();
    for (shunt, bus, clock_ratio) in MODES {
        let mut rig = Rig::perfect(shunt, bus);
        rig.unit.clock_ratio = clock_ratio;
        let mode = rig.mode();
        let width = mode.cycle().as_secs_f64();
        let seconds = WINDOWS * width;
        let cases = cases::cases(width);
        let numbered = || cases.iter().zip(1..);

        let title = format!("ideal converter, windows of {:.3} ms", 1e3 * width);
        let rows = numbered().map(|(case, seed)| accuracy::ideal(case, width, seconds, EACH, seed));
        failures.extend(table(&title, &rows.collect::<Vec<_>>()));

        let title = format!(
            "INA219 {mode}, cycles of {:.3} ms, duty {:.3}, step {:.0} mW",
            1e3 * width * clock_ratio,
            mode.duty(),
            1e3 * rig.limits().current_step.0 * rig.bus.0,
        );
        let rows = numbered().map(|(case, seed)| accuracy::real(case, &rig, seconds, EACH, seed));
        failures.extend(table(&title, &rows.collect::<Vec<_>>()));
    }
    for failure in &failures {
        println!("NOT MET: {failure}");
    }
    match failures.is_empty() {
        true => {
            println!("every demand is met");
            ExitCode::SUCCESS
        }
        false => ExitCode::FAILURE,
    }
}

/// Errors in percent of the energy; `of it` is the largest share of its allowance that a
/// phase's error took.
fn table(title: &str, rows: &[Row]) -> Vec<String> {
    println!("{title}");
    println!(
        "{:41}{:^30}  {:^30}  {:^23}  errors",
        "", "longer phases", "shorter phases", "tokens"
    );
    let lot = "   error    u95  largest";
    println!(
        "{:33}{:>6}{lot}  of it{lot}  of it{lot}  inside",
        "errors in %: median and largest", "dP/P"
    );
    let (mut inside, mut all) = (0, 0);
    for row in rows {
        let (within, of) = row.inside();
        (inside, all) = (inside + within, all + of);
        println!(
            "{:33}{:>6.2}{}{}{}{}{}{:>7.1}%",
            row.name,
            row.swing_rel,
            columns(&row.long),
            worst(&row.long),
            columns(&row.short),
            worst(&row.short),
            columns(&row.tokens),
            100.0 * within as f64 / of as f64
        );
    }
    let share = inside as f64 / all as f64;
    println!(
        "{inside} of {all} errors, {:.2} %, inside their u95 (demanded: {:.0} %)",
        100.0 * share,
        100.0 * INSIDE
    );
    let mean = |lots: &[&Lot]| 100.0 * Lot::mean_rel(lots);
    let phases: Vec<&Lot> = rows
        .iter()
        .flat_map(|row| [&row.long, &row.short])
        .collect();
    let tokens: Vec<&Lot> = rows.iter().map(|row| &row.tokens).collect();
    println!(
        "mean error of all phases {:.3} %, of all tokens {:.3} %; ALEA's, for reference: 2 % \
         coarse, 6 % fine\n",
        mean(&phases),
        mean(&tokens)
    );
    let mut failures: Vec<String> = rows.iter().flat_map(|row| row.failures.clone()).collect();
    if share < INSIDE {
        failures.push(format!("{title}: {:.2} % inside", 100.0 * share));
    }
    failures
}

fn columns(lot: &Lot) -> String {
    if lot.0.is_empty() {
        return format!("{:>24}", "-");
    }
    format!(
        "{:>8.3} {:>6.3} {:>8.3}",
        lot.median_percent(),
        lot.median_u95_percent(),
        lot.largest_percent()
    )
}

fn worst(lot: &Lot) -> String {
    match lot.0.is_empty() {
        true => format!("{:>7}", "-"),
        false => format!("{:>7.2}", lot.worst()),
    }
}
