//! A [`Sheet`] for the terminal.

use super::sheet::{Row, Section, Sheet};
use console::{measure_text_width, style};

const LABEL: usize = 24;
const GAP: usize = 2;
/// Narrower terminals get wrapped notes instead of a narrower table.
pub(super) const NARROWEST: usize = 60;
pub(super) const WIDEST: usize = 120;

/// Columns of the terminal; 80 where the output is no terminal.
pub fn width() -> usize {
    let terminal = console::Term::stdout();
    match terminal.size_checked() {
        Some((_, columns)) if terminal.is_term() => usize::from(columns),
        _ => 80,
    }
}

/// The table as lines of at most `width` columns. Colours appear where [`console`] finds
/// them fit for the standard output.
pub fn render(sheet: &Sheet, width: usize) -> String {
    let width = width.clamp(NARROWEST, WIDEST);
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(String::new());
    line(format!(
        "{}  on {}",
        style(&sheet.title).bold(),
        style(&sheet.device).bold()
    ));
    line(
        style(format!("{}  {}", sheet.time, sheet.state))
            .dim()
            .to_string(),
    );
    if let Some(banner) = simulated(sheet) {
        for part in wrap(&banner, width) {
            line(style(part).yellow().bold().to_string());
        }
    }
    for part in sheet.left_out.iter().flat_map(|text| wrap(text, width)) {
        line(style(part).yellow().bold().to_string());
    }
    for section in &sheet.sections {
        line(String::new());
        for text in render_section(section, width) {
            line(text);
        }
    }
    if !sheet.warnings.is_empty() {
        line(String::new());
        for warning in &sheet.warnings {
            for (n, part) in wrap(warning, width - 2).into_iter().enumerate() {
                let mark = if n == 0 { "! " } else { "  " };
                line(style(format!("{mark}{part}")).yellow().to_string());
            }
        }
    }
    out
}

/// The sentence that nobody may overlook, where any rail is simulated.
pub fn simulated(sheet: &Sheet) -> Option<String> {
    if sheet.simulated.is_empty() {
        return None;
    }
    Some(format!(
        "SIMULATED: the power on rail {} comes from a simulated sensor. Times are real; watts \
         and joules are those of no real board.",
        sheet.simulated.join(", ")
    ))
}

fn render_section(section: &Section, width: usize) -> Vec<String> {
    let columns = section.columns.len();
    let column_width = |column: usize| {
        let cells = section.rows.iter().filter_map(|row| row.values.get(column));
        cells
            .map(|value| measure_text_width(&value.text))
            .chain([measure_text_width(&section.columns[column])])
            .max()
            .unwrap_or(0)
    };
    // Values of all sections begin in the same column, notes too where the width allows.
    let widths: Vec<usize> = (0..columns).map(|n| column_width(n).max(17)).collect();
    let before_note = LABEL + widths.iter().map(|width| width + GAP).sum::<usize>();

    let mut heading = format!("{:<LABEL$}", section.heading);
    for (name, width) in section.columns.iter().zip(&widths) {
        heading.push_str(&pad(name, width + GAP));
    }
    let mut lines = vec![style(heading.trim_end()).underlined().to_string()];
    for row in &section.rows {
        lines.extend(render_row(row, &widths, before_note, width));
    }
    lines
}

fn render_row(row: &Row, widths: &[usize], before_note: usize, width: usize) -> Vec<String> {
    let mut first = pad(&format!("  {}", row.label), LABEL);
    for (value, width) in row.values.iter().zip(widths) {
        let cell = pad(&value.text, width + GAP);
        if value.missing {
            first.push_str(&style(cell).dim().to_string());
        } else {
            first.push_str(&style(cell).bold().to_string());
        }
    }
    let room = width.saturating_sub(before_note);
    let fits = room >= measure_text_width(&row.note) || room >= 20;
    let (indent, room) = if fits {
        (before_note, room)
    } else {
        (LABEL, width - LABEL)
    };
    let mut lines = Vec::new();
    let mut notes = wrap(&row.note, room).into_iter();
    if fits && let Some(note) = notes.next() {
        first.push_str(&style(note).dim().to_string());
    }
    lines.push(first);
    for note in notes {
        lines.push(format!("{:indent$}{}", "", style(note).dim()));
    }
    lines
}

pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(measure_text_width(text));
    format!("{text}{:missing$}", "")
}

/// Lines of at most `width` columns, broken between words.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 1 + measure_text_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sheet::Sheet;
    use crate::lab::testing;
    use proptest::prelude::*;

    fn plain(width: usize) -> String {
        let record = testing::result();
        let text = render(&Sheet::new(&record.stamp, &record.body), width);
        console::strip_ansi_codes(&text).into_owned()
    }

    #[test]
    fn the_table_at_80_columns() {
        insta::assert_snapshot!(plain(80));
    }

    #[test]
    fn the_table_at_120_columns() {
        insta::assert_snapshot!(plain(120));
    }

    #[test]
    fn a_missing_figure_shows_its_reason() {
        assert!(plain(80).contains("– below-noise"), "{}", plain(80));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let record = testing::result();
        let sheet = Sheet::new(&record.stamp, &record.body);
        proptest!(|(width in 76..200usize)| {
            for line in console::strip_ansi_codes(&render(&sheet, width)).lines() {
                prop_assert!(measure_text_width(line) <= width, "{line}");
            }
        });
    }
}
