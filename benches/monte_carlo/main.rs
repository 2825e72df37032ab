//! Ten thousand simulated chips, drawn from the data sheet's limits, each measuring an
//! invented attempt: prints whether the uncertainties that jouled states are those that the
//! chips show. Ends with a failure when a demand is not met. `make bench-monte-carlo`.

#[path = "../metrology/mod.rs"]
#[expect(dead_code, reason = "the other proof's half")]
mod metrology;

use metrology::chips::{self, COVERED, Group, MOST, NEAR};
use std::process::ExitCode;

const CHIPS: u64 = 10_000;
const SEED: u64 = 20_261_121;

fn main() -> ExitCode {
    let chips = std::env::args()
        .nth(1)
        .and_then(|argument| argument.parse().ok())
        .unwrap_or(CHIPS);
    println!("{chips} simulated INA219 chips read by the driver, seed {SEED}");
    println!(
        "{:32}{:>8}{:>10}{:>9}{:>10}{:>10}{:>10}{:>9}",
        "figure", "n", "mean J", "bias %", "stated %", "observed", "obs/stat", "covered"
    );
    let tallies = chips::measure(chips, SEED);
    let mut missed = 0;
    for (&(group, name), tally) in &tallies {
        let holds = tally.holds(group);
        missed += u32::from(!holds);
        println!(
            "{name:32}{:>8}{:>10.4}{:>9.4}{:>10.4}{:>10.4}{:>10.3}{:>8.2}%{}",
            tally.figures,
            tally.mean_truth(),
            100.0 * tally.bias(),
            100.0 * tally.stated(),
            100.0 * tally.observed(),
            tally.ratio(),
            100.0 * tally.covered(),
            if holds { "" } else { "  NOT MET" }
        );
        if tally.withheld > 0 {
            println!("  {} withheld", tally.withheld);
        }
    }
    println!(
        "demanded: {:.0} % covered; for gross phases a stated uncertainty within {:.0} % of the \
         observed one, elsewhere an observed one of at most {MOST} times the stated",
        100.0 * COVERED,
        100.0 * NEAR
    );
    let groups = [Group::GrossPhase, Group::Net, Group::PerToken];
    let all_there = groups
        .iter()
        .all(|group| tallies.keys().any(|(known, _)| known == group));
    match missed == 0 && all_there {
        true => {
            println!("every demand is met");
            ExitCode::SUCCESS
        }
        false => ExitCode::FAILURE,
    }
}
