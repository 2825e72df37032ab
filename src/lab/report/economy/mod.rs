//! What configurations cost, beside what others charge: prices of `[cost]` on measured energies
//! and speeds.

mod price;
mod tables;
#[cfg(test)]
mod tests;

use super::assumptions::Cost;
use super::study::{Configuration, Study};
use super::table::Table;
pub use price::{Amount, Basis, Costs, Known, Missing};
use price::{charge, costs};

/// Costs of each configuration that makes tokens.
pub fn all<'a>(cost: &Cost, study: &'a Study) -> Vec<(&'a Configuration, Costs)> {
    study
        .configurations
        .iter()
        .filter(|configuration| configuration.makes_tokens())
        .map(|configuration| {
            let profile = profile(study, configuration);
            (configuration, costs(cost, configuration, profile))
        })
        .collect()
}

/// Costs, their comparison with APIs, and how they depend on what is assumed.
pub fn tables(cost: &Cost, study: &Study) -> Vec<Table> {
    let all = all(cost, study);
    let mut found = vec![tables::costs(cost, &all)];
    found.extend(tables::apis(cost, &all));
    found.extend(tables::sensitivity(cost, study, &all));
    found
}

/// Of the board that a configuration's runs ran on.
fn profile<'a>(study: &'a Study, configuration: &Configuration) -> &'a str {
    let run = configuration.counted.first().map(|at| &study.runs[*at]);
    run.map_or("", |run| &run.body.board.profile)
}
