//! The report as a table for people, and the configuration to paste below it.

use super::figure::{self, MISSING, or_missing};
use super::page::{Page, cut};
use crate::record::probe::{ProbeReport, ProbeState, ProbedRail, ProbedSensor};
use anstyle::{AnsiColor, Style};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const HEADING: Style = Style::new().underline();
const WARNING: Style = AnsiColor::Yellow.on_default();
const FAILED: Style = AnsiColor::Red.on_default().bold();
const FOUND: Style = AnsiColor::Cyan.on_default().bold();
const SIMULATED: Style = AnsiColor::Magenta.on_default().bold();

const NARROWEST: usize = 72;
const WIDEST: usize = 140;
/// From here on volts and amperes have columns of their own, and there is room to breathe.
const WIDE: usize = 108;

/// A figure's column: heading, width, text.
struct Column {
    name: &'static str,
    width: usize,
    text: fn(&ProbedRail) -> String,
}

const VALUE: Column = column("value", 8, |rail| or_missing(rail.power_w, figure::watts));
const VOLTAGE: Column = column("voltage", 8, |rail| {
    or_missing(rail.voltage_v, figure::volts)
});
const CURRENT: Column = column("current", 8, |rail| {
    or_missing(rail.current_a, figure::amps)
});
const RATE: Column = column("rate", 8, |rail| or_missing(rail.rate_hz, figure::rate));
const COVERAGE: Column = column("coverage", 8, |rail| {
    or_missing(rail.coverage, figure::share)
});
const RESOLUTION: Column = column("resolution", 10, |rail| {
    let watts = rail.resolution_w.map(|step| figure::step(step, "W"));
    let joules = rail.resolution_j.map(|step| figure::step(step, "J"));
    watts.or(joules).unwrap_or_else(|| MISSING.to_owned())
});

const fn column(name: &'static str, width: usize, text: fn(&ProbedRail) -> String) -> Column {
    Column { name, width, text }
}

const BOUNDARY: usize = 11;
const WARNINGS: usize = 8;

struct Layout {
    width: usize,
    rail: usize,
    gap: usize,
    columns: &'static [Column],
}

impl Layout {
    fn new(width: usize) -> Layout {
        let width = width.clamp(NARROWEST, WIDEST);
        let (gap, columns): (usize, &'static [Column]) = if width >= WIDE {
            (2, &[VALUE, VOLTAGE, CURRENT, RATE, COVERAGE, RESOLUTION])
        } else {
            (1, &[VALUE, RATE, COVERAGE, RESOLUTION])
        };
        let figures: usize = columns.iter().map(|column| column.width + gap).sum();
        Layout {
            width,
            rail: (width - figures - BOUNDARY - WARNINGS - 2 * gap).min(32),
            gap,
            columns,
        }
    }
}

/// Lines of at most `width` columns, with colours that whoever prints them may strip.
pub fn table(report: &ProbeReport, width: usize) -> String {
    let layout = Layout::new(width);
    let mut page = Page::default();
    let board = &report.board;
    let model = board.model.as_deref().unwrap_or("unknown model");
    page.line(BOLD, &format!("{} · {model}", board.profile));
    for note in &board.notes {
        page.wrapped(DIM, "- ", note, layout.width);
    }
    page.blank();
    let is_usable = |sensor: &ProbedSensor| sensor.state != ProbeState::Failed;
    let nothing_usable = !report.sensors.iter().any(is_usable);
    if report.sensors.is_empty() {
        nothing(&mut page, &layout);
        return page.text;
    }
    heading(&mut page, &layout);
    let mut notes: Vec<&str> = Vec::new();
    for sensor in &report.sensors {
        source(&mut page, &layout, sensor);
        for rail in &sensor.rails {
            let numbers = sensor
                .warnings
                .iter()
                .chain(&rail.warnings)
                .map(|warning| number(&mut notes, warning).to_string());
            let numbers = numbers.collect::<Vec<_>>().join(",");
            row(&mut page, &layout, rail, &numbers);
        }
    }
    if !notes.is_empty() {
        page.blank();
    }
    for (index, note) in notes.iter().enumerate() {
        let mark = format!("{:>3}  ", index + 1);
        page.wrapped(WARNING, &mark, note, layout.width);
    }
    if nothing_usable {
        page.blank();
        nothing(&mut page, &layout);
    }
    blocks(&mut page, &layout, report);
    page.text
}

fn nothing(page: &mut Page, layout: &Layout) {
    page.line(BOLD, "No power sensor can be read.");
    let advice = "Attach an INA219 to the supply's + wire and enable I2C, or configure a meter as a \
                  [[sensor]] and probe again with --config FILE. A simulated sensor (kind = \
                  \"simulated\") is there for trying things out.";
    page.wrapped(Style::new(), "", advice, layout.width);
}

/// The number of a note, which many rails may share.
fn number<'a>(notes: &mut Vec<&'a str>, note: &'a str) -> usize {
    let known = notes.iter().position(|known| *known == note);
    known.unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    }) + 1
}

fn heading(page: &mut Page, layout: &Layout) {
    let gap = " ".repeat(layout.gap);
    let mut line = format!(
        "{:<rail$}{gap}{:<BOUNDARY$}",
        "source / rail",
        "boundary",
        rail = layout.rail
    );
    for column in layout.columns {
        line.push_str(&format!(
            "{gap}{:>width$}",
            column.name,
            width = column.width
        ));
    }
    line.push_str(&format!("{gap}{:<WARNINGS$}", "warnings"));
    page.line(HEADING, &line);
}

/// A source's own line, and why it is not read if so.
fn source(page: &mut Page, layout: &Layout, sensor: &ProbedSensor) {
    let mut parts = vec![(BOLD, sensor.name.clone())];
    let kind = (!sensor.simulated).then(|| sensor.kind.clone());
    let about: Vec<String> = kind.into_iter().chain(facts(sensor)).collect();
    match sensor.state {
        ProbeState::Ok => {}
        ProbeState::Failed => parts.push((FAILED, "failed".to_owned())),
        ProbeState::Found => parts.push((FOUND, "found".to_owned())),
    }
    if sensor.simulated {
        parts.push((SIMULATED, "SIMULATED".to_owned()));
    }
    let used: usize = parts.iter().map(|(_, text)| text.chars().count() + 1).sum();
    parts.push((
        DIM,
        cut(&about.join(", "), layout.width.saturating_sub(used)),
    ));
    page.parts(&parts);
    if let Some(reason) = &sensor.reason {
        page.wrapped(WARNING, "  ", reason, layout.width);
    }
    if let Some(note) = &sensor.note {
        page.wrapped(DIM, "  ", note, layout.width);
    }
}

/// Place and mode, as far as they are known.
fn facts(sensor: &ProbedSensor) -> Vec<String> {
    let rail = sensor.rails.first();
    let shunt = |ohm: f64| format!("shunt {}", figure::step(ohm, "Ω"));
    [
        sensor.device.clone(),
        rail.and_then(|rail| rail.mode.clone()),
        rail.and_then(|rail| rail.range_mv)
            .map(|range| format!("±{range} mV")),
        rail.and_then(|rail| rail.shunt_ohm).map(shunt),
        rail.and_then(|rail| rail.duty)
            .map(|duty| format!("duty {:.0} %", duty * 100.0)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn row(page: &mut Page, layout: &Layout, rail: &ProbedRail, numbers: &str) {
    let gap = " ".repeat(layout.gap);
    let inside = if rail.contained_in.is_some() {
        "  "
    } else {
        ""
    };
    let name = format!("  {inside}{}", rail.name);
    // A long name has a line of its own, so that the columns stay where they are.
    let name = if name.chars().count() > layout.rail {
        page.line(Style::new(), &name);
        String::new()
    } else {
        name
    };
    let start = format!(
        "{name:<rail$}{gap}{:<BOUNDARY$}",
        rail.boundary.to_string(),
        rail = layout.rail
    );
    let mut parts = vec![(Style::new(), start)];
    for (index, column) in layout.columns.iter().enumerate() {
        let text = (column.text)(rail);
        let style = match index {
            _ if text == MISSING => DIM,
            0 => BOLD,
            _ => Style::new(),
        };
        let padding = column.width.saturating_sub(text.chars().count());
        parts.push((style, format!("{gap}{:padding$}{text}", "")));
    }
    parts.push((WARNING, format!("{gap}{numbers}")));
    page.line_of(&parts);
}

/// What to paste.
fn blocks(page: &mut Page, layout: &Layout, report: &ProbeReport) {
    let new: Vec<(&ProbedSensor, &str)> = report
        .sensors
        .iter()
        .filter_map(|sensor| Some((sensor, sensor.config.as_deref()?)))
        .collect();
    if new.is_empty() {
        return;
    }
    page.blank();
    let path = "/etc/jouled/jouled.toml";
    page.line(HEADING, &format!("Configuration to paste into {path}:"));
    for (sensor, block) in new {
        page.blank();
        if sensor.state == ProbeState::Failed
            && let Some(reason) = &sensor.reason
        {
            let reason = format!("Can't be read yet: {reason}");
            page.wrapped(DIM, "# ", &reason, layout.width);
        }
        for line in block.lines() {
            let style = if line.starts_with('#') {
                DIM
            } else {
                Style::new()
            };
            page.line(style, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::probe::ProbedBoard;
    use crate::sensor::{Boundary, BoundaryBasis, Quality};
    use proptest::prelude::*;

    fn rail(name: &str, boundary: Boundary, power_w: Option<f64>) -> ProbedRail {
        ProbedRail {
            name: name.to_owned(),
            boundary,
            boundary_basis: BoundaryBasis::Profile,
            contained_in: None,
            excludes: Vec::new(),
            power_w,
            voltage_v: power_w.map(|_| 5.08),
            current_a: power_w.map(|power| power / 5.08),
            quality: Quality::Good,
            rate_hz: power_w.map(|_| 9.98),
            coverage: power_w.map(|_| 0.998),
            resolution_w: Some(0.04),
            resolution_j: None,
            mode: None,
            range_mv: None,
            shunt_ohm: None,
            duty: None,
            warnings: Vec::new(),
        }
    }

    fn sensor(name: &str, kind: &str, rails: Vec<ProbedRail>) -> ProbedSensor {
        ProbedSensor {
            name: name.to_owned(),
            kind: kind.to_owned(),
            device: None,
            state: ProbeState::Ok,
            reason: None,
            note: None,
            configured: false,
            simulated: false,
            missed_deadlines: Some(0),
            errors: Some(0),
            warnings: Vec::new(),
            config: Some(format!(
                "[[sensor]]\nname = \"{name}\"\nkind = \"{kind}\"\n"
            )),
            rails,
        }
    }

    fn full() -> ProbeReport {
        let mut input = sensor(
            "input",
            "ina219",
            vec![rail("input", Boundary::BoardInput, Some(9.876))],
        );
        input.device = Some("/dev/i2c-7 0x44".to_owned());
        input.configured = true;
        input.config = None;
        input.rails[0].rate_hz = Some(208.7);
        input.rails[0].coverage = Some(1.0);
        input.rails[0].mode = Some("avg8/12bit".to_owned());
        input.rails[0].range_mv = Some(80);
        input.rails[0].shunt_ohm = Some(0.01);
        input.rails[0].duty = Some(0.889);
        let mut board = sensor(
            "ina3221",
            "hwmon",
            vec![
                rail("ina3221.vdd_in", Boundary::Module, Some(6.512)),
                rail("ina3221.vdd_cpu_gpu_cv", Boundary::Rail, Some(1.204)),
                rail("ina3221.vdd_soc", Boundary::Rail, None),
            ],
        );
        board.device = Some("ina3221".to_owned());
        let slow = "asked for 100.0/s, it delivers 24.9/s";
        for rail in &mut board.rails {
            rail.warnings.push(slow.to_owned());
        }
        board.rails[1].contained_in = Some("ina3221.vdd_in".to_owned());
        board.rails[2].contained_in = Some("ina3221.vdd_in".to_owned());
        let mut cpu = sensor("cpu", "rapl", Vec::new());
        cpu.state = ProbeState::Failed;
        cpu.reason = Some(
            "/sys/class/powercap/intel-rapl:0/energy_uj: permission denied; the kernel shows it to \
             root only"
                .to_owned(),
        );
        let mut chip = sensor("ina219-1-45", "ina219", Vec::new());
        chip.state = ProbeState::Found;
        chip.device = Some("/dev/i2c-1 0x45".to_owned());
        chip.reason =
            Some("its shunt, its largest current and its boundary are yours to state".into());
        chip.config = Some(
            "[[sensor]]\nname = \"ina219-1-45\"\naddress = 0x45\n# boundary = \"rail\"\n".into(),
        );
        let mut simulated = sensor(
            "try",
            "simulated",
            vec![rail("try", Boundary::BoardInput, Some(12.0))],
        );
        simulated.simulated = true;
        simulated.configured = true;
        simulated.config = None;
        simulated.warnings = vec!["simulated: no board draws this power".to_owned()];
        ProbeReport {
            v: 1,
            board: ProbedBoard {
                profile: "jetson-orin-nano".to_owned(),
                model: Some("NVIDIA Jetson Orin Nano Developer Kit".to_owned()),
                notes: vec![
                    "VDD_IN is the module's input: carrier, NVMe, USB and fan are outside it; for \
                     the whole board put a sensor into the supply's wire."
                        .to_owned(),
                ],
            },
            sensors: vec![input, board, cpu, chip, simulated],
        }
    }

    fn plain(report: &ProbeReport, width: usize) -> String {
        anstream::adapter::strip_str(&table(report, width)).to_string()
    }

    #[test]
    fn the_table_at_80_columns() {
        insta::assert_snapshot!(plain(&full(), 80));
    }

    #[test]
    fn the_table_at_120_columns() {
        insta::assert_snapshot!(plain(&full(), 120));
    }

    #[test]
    fn without_a_sensor_it_says_what_to_do() {
        let mut report = full();
        report.sensors.clear();
        let text = plain(&report, 80);
        assert!(text.contains("No power sensor can be read."), "{text}");
        assert!(text.contains("INA219"), "{text}");
    }

    #[test]
    fn what_follows_the_heading_is_toml() {
        let text = plain(&full(), 80);
        let (_, blocks) = text.split_once("jouled.toml:\n").unwrap();
        let parsed: toml::Table = blocks.parse().unwrap();
        assert_eq!(parsed["sensor"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let report = full();
        proptest!(|(width in 72..200usize)| {
            for line in plain(&report, width).lines() {
                prop_assert!(line.chars().count() <= width, "{line}");
            }
        });
    }
}
