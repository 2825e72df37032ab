//! The report in Markdown: for a pull request, a wiki, or a terminal.

use super::content::Report;
use super::method::{METHOD, definitions};
use super::table::{Cell, Column, Table};
use std::fmt::{Arguments, Write};

pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: Arguments| {
        out.write_fmt(text).expect("a String takes everything");
        out.push('\n');
    };
    line(format_args!("# {}\n", escaped(&report.title)));
    for banner in &report.banners {
        line(format_args!("> **{}**\n", escaped(banner)));
    }
    line(format_args!("{}\n", escaped(&report.about)));
    for item in &report.headline {
        line(format_args!(
            "- {}: **{}**",
            escaped(&item.0),
            escaped(&item.1)
        ));
    }
    if !report.headline.is_empty() {
        line(format_args!(""));
    }
    if !report.guidance.is_empty() && !report.guidance_notes.is_empty() {
        line(format_args!(
            "{}\n",
            escaped(&report.guidance_notes.join(" "))
        ));
    }
    let tables = report.findings.iter().chain(&report.guidance);
    for table in tables.chain(&report.tables) {
        line(format_args!("## {}\n", table.heading));
        if table.id == "configurations" && !report.common.is_empty() {
            let all = report.common.iter();
            let all: Vec<String> = all.map(|(name, value)| format!("{name} {value}")).collect();
            line(format_args!(
                "The same in all: {}.\n",
                escaped(&all.join(", "))
            ));
        }
        line(format_args!("{}", rendered(table)));
    }
    if !report.warnings.is_empty() {
        line(format_args!("## Warnings of the records\n"));
        for (text, runs) in &report.warnings {
            line(format_args!("- {} ({runs} runs)", escaped(text)));
        }
        line(format_args!(""));
    }
    line(format_args!("## Method\n"));
    for (term, meaning) in METHOD {
        line(format_args!("**{term}.** {meaning}\n"));
    }
    line(format_args!("| figure | in CSV | meaning |\n|---|---|---|"));
    for (heading, name, meaning) in definitions() {
        line(format_args!("| {heading} | `{name}` | {meaning} |"));
    }
    line(format_args!("\nMade by joulectl {}.", report.version));
    out
}

fn rendered(table: &Table) -> String {
    let mut out = String::new();
    let heading = |column: &Column| match column.unit.is_empty() {
        true => escaped(&column.heading),
        false => format!("{} [{}]", escaped(&column.heading), escaped(&column.unit)),
    };
    let headings: Vec<String> = table.columns.iter().map(heading).collect();
    out += &format!(
        "| {} |\n|{}\n",
        headings.join(" | "),
        "---|".repeat(headings.len())
    );
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        out += &format!("| {} |\n", cells.join(" | "));
    }
    for note in table
        .notes
        .iter()
        .map(|note| escaped(note))
        .chain(table.beyond())
    {
        out += &format!("\n{note}\n");
    }
    for (name, meaning) in &table.reasons {
        out += &format!("\n`{name}`: {meaning}\n");
    }
    out
}

fn cell(cell: &Cell) -> String {
    match &cell.link {
        Some(link) => format!("[{}]({link})", escaped(&cell.text)),
        None => escaped(&cell.text),
    }
}

/// Text from records is text, not markup.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '!' => {
                out.push('\\');
                out.push(character);
            }
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
