//! `joulectl report`: a dataset, or some results, as one page that can be read anywhere: what
//! was measured, how, and what came out, with the uncertainty of every figure.
//!
//! ```text
//! paths ─▶ source (dataset, result files) ─▶ study: configurations, pooled figures
//!                                              └─▶ content ─▶ page (HTML), markdown
//!                                              └─▶ csv
//! ```

pub mod assumptions;
mod baseline;
mod configuration;
mod content;
mod csv;
mod economy;
mod figure;
mod findings;
mod markdown;
mod method;
mod page;
mod picture;
mod quality;
mod recommend;
mod source;
mod stated;
mod study;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod usability;

use super::{LabError, whole};
use assumptions::Assumptions;
use content::{Report, plural};
use source::Source;
use std::path::{Path, PathBuf};
use study::{Marked, Study};

const DEFAULT: &str = "jouled-report.html";

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folders that `joulectl collect` wrote, result records as .json, or folders of those
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where the report goes; `-` is the standard output [default: jouled-report.html; Markdown
    /// and CSV go to the standard output]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What it is written as [default: what the name of FILE ends with, else html]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The heading [default: the model, or how many there are]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Prices, thresholds and values of others, as TOML (docs/report.md); its sections stand in
    /// for those of a study's manifest
    #[arg(long, value_name = "FILE")]
    pub assumptions: Option<PathBuf>,
    /// Count runs that were contended or throttled, had a setting changed meanwhile, or did not
    /// succeed, all the same
    #[arg(long)]
    pub include_marked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One file with pictures, which loads nothing
    Html,
    /// Tables and method in Markdown
    Md,
    /// One row a configuration, with every figure in full
    Csv,
}

pub fn run(options: &Options) -> Result<(), LabError> {
    let format = options.format.or_else(|| by_name(options.out.as_deref()?));
    let format = format.unwrap_or(Format::Html);
    let out = match (&options.out, format) {
        (Some(out), _) => out.clone(),
        (None, Format::Html) => PathBuf::from(DEFAULT),
        (None, Format::Md | Format::Csv) => PathBuf::from("-"),
    };
    let marked = match options.include_marked {
        true => Marked::Included,
        false => Marked::LeftOut,
    };
    let source = Source::open(&options.paths)?;
    let study = Study::new(source.results()?, marked);
    let assumptions = Assumptions::gather(&options.paths, options.assumptions.as_deref())?;
    let told = || report(options, &source, &study, &assumptions, &out);
    let text = match format {
        Format::Csv => csv::configurations(&study, &assumptions),
        Format::Md => markdown::render(&told()?),
        Format::Html => page::render(&study, &assumptions, &told()?)?,
    };
    if out == Path::new("-") {
        print!("{text}");
        return Ok(());
    }
    whole::write(&out, &text)?;
    let left_out = study.configurations.iter().map(|c| c.left_out.len());
    eprintln!(
        "{}: {} in {}, {} marked and left out of means",
        out.display(),
        plural(study.runs.len(), "run"),
        plural(study.configurations.len(), "configuration"),
        left_out.sum::<usize>(),
    );
    Ok(())
}

fn by_name(out: &Path) -> Option<Format> {
    match out.extension()?.to_str()? {
        "html" | "htm" => Some(Format::Html),
        "md" | "markdown" => Some(Format::Md),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

fn report(
    options: &Options,
    source: &Source,
    study: &Study,
    assumptions: &Assumptions,
    out: &Path,
) -> Result<Report, LabError> {
    let details = source.details(&content::traced(study))?;
    let folder = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let links = source.links(folder);
    Ok(Report::new(
        study,
        assumptions,
        options.title.as_deref(),
        &details,
        &links,
    ))
}
