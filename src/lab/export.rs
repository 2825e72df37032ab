//! `joulectl export`: an attempt's raw data as tables, for plotting.

use super::LabError;
use super::recompute::Source;
use crate::measure::archive::Archive;
use crate::measure::{Observed, Recorded};
use crate::record::job::Token;
use crate::units::MonoNs;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A raw file (ID.ATTEMPT.jsonl.gz)
    #[arg(value_name = "RAW_FILE")]
    pub file: PathBuf,
    /// Where the tables go: windows-RAIL.csv, tokens.csv and phases.csv
    #[arg(long, value_name = "DIR")]
    pub csv: PathBuf,
}

pub fn run(options: &Options) -> Result<(), LabError> {
    let source = Source::read(&options.file)?;
    if let Some(caution) = source.caution() {
        eprintln!("{caution}");
    }
    let archive = &source.archive;
    let failed =
        |path: &Path, error: io::Error| LabError::Failed(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(&options.csv).map_err(|error| failed(&options.csv, error))?;
    let table = |name: &str, write: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
        let path = options.csv.join(name);
        let written = File::create(&path).and_then(|file| {
            let mut out = BufWriter::new(file);
            write(&mut out)?;
            out.flush()
        });
        written.map_err(|error| failed(&path, error))?;
        println!("{}", path.display());
        Ok(())
    };
    let mut taken = BTreeSet::new();
    for rail in &archive.rails {
        let name = file_name(&rail.spec.name, &mut taken);
        table(&name, &|out| windows(out, rail, archive.observed.t0))?;
    }
    table("tokens.csv", &|out| tokens(out, archive))?;
    table("phases.csv", &|out| phases(out, &archive.observed))
}

/// The names in a raw file are anybody's: a table must not land anywhere else, or on another.
fn file_name(rail: &str, taken: &mut BTreeSet<String>) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let rail: String = rail
        .chars()
        .take(100)
        .map(|c| if safe(c) { c } else { '_' })
        .collect();
    let mut name = format!("windows-{rail}.csv");
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("windows-{rail}-{number}.csv");
        number += 1;
    }
    name
}

/// In every row, so that it can't be lost on the way into a plot.
fn simulated(yes: bool) -> &'static str {
    if yes { "SIMULATED" } else { "" }
}

fn windows(out: &mut dyn Write, rail: &Recorded, t0: MonoNs) -> io::Result<()> {
    writeln!(out, "t_s,dt_s,power_w,voltage_v,quality,lost,simulated")?;
    let simulated = simulated(rail.spec.simulated);
    for window in rail.trace.iter_windows() {
        writeln!(
            out,
            "{},{},{},{},{},{},{simulated}",
            seconds(t0, window.t0),
            seconds(window.t0, window.t1),
            window.power.0,
            // The precision that it is kept with.
            optional(window.voltage.map(|volts| volts.0 as f32)),
            word(&window.quality),
            window.lost,
        )?;
    }
    Ok(())
}

fn tokens(out: &mut dyn Write, archive: &Archive) -> io::Result<()> {
    writeln!(
        out,
        "rep,i,t_s,t_rep_s,energy_j,energy_j_u95,u_ran_j,power_w,step_n,reason,simulated"
    )?;
    let primary = archive.context.primary;
    let primary = primary.and_then(|primary| archive.rails.get(primary));
    let simulated = simulated(primary.is_some_and(|rail| rail.spec.simulated));
    let records = archive.tokens();
    let mut rows: Vec<(u32, &Token)> = records
        .iter()
        .map(|record| &record.body)
        .flat_map(|record| record.tokens.iter().map(|token| (record.rep, token)))
        .collect();
    rows.sort_by_key(|(rep, token)| (*rep, token.i));
    let t0 = archive.observed.t0;
    for (rep, token) in rows {
        let times = archive.observed.tokens.get(&rep);
        let known = times.and_then(|times| times.known.get(token.i as usize));
        let (in_attempt, in_rep) = match (times, known) {
            (Some(times), Some(known)) => (seconds(t0, *known), seconds(times.t0, *known)),
            _ => Default::default(),
        };
        writeln!(
            out,
            "{rep},{},{in_attempt},{in_rep},{},{},{},{},{},{},{simulated}",
            token.i,
            optional(token.energy_j),
            optional(token.energy_j_u95),
            optional(token.u_ran_j),
            optional(token.power_w),
            optional(token.step_n),
            optional(token.reason.as_ref().map(word)),
        )?;
    }
    Ok(())
}

fn phases(out: &mut dyn Write, observed: &Observed) -> io::Result<()> {
    writeln!(out, "phase,rep,t0_s,t1_s")?;
    for span in &observed.phases {
        let (t0, t1) = (seconds(observed.t0, span.t0), seconds(observed.t0, span.t1));
        let rep = optional(span.rep);
        writeln!(out, "{},{rep},{t0},{t1}", span.phase.as_str())?;
    }
    Ok(())
}

/// An empty field is a value that is missing.
fn optional<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A word of the wire's vocabulary.
fn word<T: serde::Serialize>(value: &T) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

/// From `t0` to `t`, to the nanosecond; negative before it.
fn seconds(t0: MonoNs, t: MonoNs) -> String {
    let sign = if t < t0 { "-" } else { "" };
    let ns = t0.0.abs_diff(t.0);
    format!("{sign}{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing::{Play, T0, context, job, rail};
    use crate::measure::{Ending, archive::Archive};
    use crate::runtime::protocol::StopReason;
    use crate::sensor::RailSpec;
    use crate::units::Span;
    use crate::workload::TokensWhen;

    #[test]
    fn tokens_are_there_also_where_none_were_published() {
        let published = archive();
        let mut unpublished = archive();
        unpublished.context.job.publish.tokens = TokensWhen::None;
        assert_eq!(unpublished.records().tokens, []);
        let table = |archive: &Archive| text(|out| tokens(out, archive));
        assert_eq!(table(&unpublished), table(&published));
    }

    fn archive() -> Archive {
        let mut play = Play::begin();
        play.generate(1, 3, StopReason::Length);
        let play = play.end(Ending::Succeeded);
        let simulated = RailSpec {
            simulated: true,
            ..rail("input")
        };
        Archive {
            context: context(job(|_| ())),
            rails: vec![play.recorded(simulated)],
            observed: play.observed,
            live: Vec::new(),
        }
    }

    fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_to_the_nanosecond_on_both_sides_of_the_start() {
        assert_eq!(seconds(T0, T0 + Span(1_000_000_001)), "1.000000001");
        assert_eq!(seconds(T0, T0 - Span(7)), "-0.000000007");
    }

    #[test]
    fn every_row_of_a_simulated_rail_says_so() {
        let archive = archive();
        let table = text(|out| windows(out, &archive.rails[0], archive.observed.t0));
        let mut lines = table.lines();
        let heading = lines.next().unwrap();
        assert_eq!(heading, "t_s,dt_s,power_w,voltage_v,quality,lost,simulated");
        assert!(
            lines
                .next()
                .unwrap()
                .starts_with("-0.007000000,0.005000000,")
        );
        assert!(lines.all(|line| line.ends_with(",5,good,0,SIMULATED")));

        let table = text(|out| tokens(out, &archive));
        let rows: Vec<&str> = table.lines().skip(1).collect();
        assert_eq!(rows.len(), 3);
        assert!(
            rows[0].ends_with(",,,,,,in-prefill,SIMULATED"),
            "{}",
            rows[0]
        );
        assert!(
            rows[2].starts_with("1,2,11.821000000,0.421000000,"),
            "{}",
            rows[2]
        );
        assert_eq!(rows[0].matches(',').count(), 10);
    }

    #[test]
    fn phases_are_on_the_same_time() {
        let table = text(|out| phases(out, &archive().observed));
        assert!(
            table.contains("\nidle_before,,0.400000000,10.400000000\n"),
            "{table}"
        );
        assert!(table.contains("\nprefill,1,"), "{table}");
    }

    #[test]
    fn a_rail_s_name_is_no_path() {
        let mut taken = BTreeSet::new();
        let mut name = |rail| file_name(rail, &mut taken);
        assert_eq!(name("../../etc/passwd"), "windows-.._.._etc_passwd.csv");
        assert_eq!(name("a/b"), "windows-a_b.csv");
        assert_eq!(name("a b"), "windows-a_b-2.csv");
    }
}
