//! `joulectl explain`: what the uncertainty of a figure is made of, line by line, from a
//! result record alone.

pub mod budget;
mod text;

use super::file::read_result;
use super::lookup::{self, Path};
use super::{LabError, table};
use crate::record::Stamped;
use crate::record::result::JobResult;
use budget::{Explained, explain};
use serde_json::json;
use std::path::PathBuf;

/// Names less alike than this are no misspellings of one another.
const ALIKE: f64 = 0.9;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A result record as JSON; `-` is standard input
    pub result: PathBuf,
    /// Figures as they stand in the record: `reps.2.decode.energy_j`, `total.input`,
    /// `idle.before`, `load`; a name alone is one of the summary [default: the energy of an
    /// output token]
    #[arg(value_name = "FIGURE")]
    pub figures: Vec<String>,
    /// List the figures that the record has
    #[arg(long, short, conflicts_with = "figures")]
    pub list: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(options: &Options) -> Result<(), LabError> {
    let record = read_result(&options.result)?;
    let figures = figures(options, &record.body)?;
    if options.json {
        println!("{}", as_json(&record, &figures));
        return Ok(());
    }
    let width = table::width();
    print!("{}", text::heading(&record.stamp, &record.body, width));
    if options.list {
        println!();
        print!("{}", text::list(&figures));
        return Ok(());
    }
    for figure in &figures {
        println!();
        print!("{}", text::render(figure, &record.body, width));
    }
    Ok(())
}

fn figures(options: &Options, result: &JobResult) -> Result<Vec<Explained>, LabError> {
    let paths: Vec<Path> = if options.list {
        lookup::list(result)
    } else if options.figures.is_empty() {
        vec![lookup::headline(result)]
    } else {
        let parse = |text: &String| Path::parse(text).ok_or_else(|| unknown(result, text));
        options
            .figures
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()?
    };
    paths
        .iter()
        .map(|path| explain(result, path).ok_or_else(|| unknown(result, &path.to_string())))
        .collect()
}

/// The nearest figure that the record has is what was meant, more often than not.
pub fn unknown(result: &JobResult, text: &str) -> LabError {
    let known: Vec<String> = lookup::list(result).iter().map(Path::to_string).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(known, text), known))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    LabError::Usage(format!(
        "{text}: the record of job {} has no such figure{}; `joulectl explain RESULT --list` \
         names them",
        result.id,
        match nearest {
            Some((_, nearest)) => format!("; {nearest} is the nearest"),
            None => String::new(),
        }
    ))
}

fn as_json(record: &Stamped<JobResult>, figures: &[Explained]) -> serde_json::Value {
    let result = &record.body;
    json!({
        "v": 1,
        "device": record.stamp.device,
        "id": result.id,
        "attempt": result.attempt,
        "simulated": result.rails.iter().any(|rail| rail.simulated),
        "figures": figures,
    })
}

#[cfg(test)]
mod tests;
