//! One frame drawn: a card a rail where there is room, else a row a rail.

use super::{Frame, RailFrame};
use crate::minute::Chart;
use crate::probe::figure::{self, or_missing};
use crate::sensor::Quality;
use crate::units::MonoNs;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Lines of bars that still look good.
const TALLEST: u16 = 8;
/// A card: its title and two lines of bars, narrower than this it would be all numbers.
const CARD: u16 = 3;
const CARD_WIDTH: u16 = 64;
/// At most so many lines tell what fails.
const FAULTS: usize = 3;

const LEFT: u16 = 16;
const RIGHT: u16 = 10;

/// What the view needs besides the figures.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Whose rails these are.
    pub board: String,
    /// The first rail shown, where not all fit.
    pub offset: usize,
}

impl View {
    pub fn draw(&mut self, screen: &mut ratatui::Frame<'_>, frame: &Frame) {
        let faults = frame.faults.len().min(FAULTS) as u16;
        let [title, body, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(faults),
        ])
        .areas(screen.area());
        screen.render_widget(self.title(frame, title.width), title);
        let count = frame.rails.len().max(1) as u16;
        let lines = body.height / count;
        if frame.rails.is_empty() {
            let text = "No rail can be read.".bold();
            screen.render_widget(Paragraph::new(text), body);
        } else if lines >= CARD && body.width >= CARD_WIDTH {
            self.offset = 0;
            cards(screen, body, lines, frame);
        } else {
            let shown = usize::from(body.height.saturating_sub(1));
            self.offset = self.offset.min(frame.rails.len().saturating_sub(shown));
            rows(screen, body, &frame.rails[self.offset..], frame.now);
        }
        let told = frame.faults.iter().take(FAULTS).map(|(name, reason)| {
            Line::from(vec![
                Span::from(format!("{name}: ")).red().bold(),
                Span::from(reason.as_str()).yellow(),
            ])
        });
        screen.render_widget(Paragraph::new(told.collect::<Vec<_>>()), bottom);
    }

    fn title(&self, frame: &Frame, width: u16) -> Line<'static> {
        let right = format!("{}  q quits ", figure::elapsed(frame.elapsed));
        let left = format!(" jouled probe  {}", self.board);
        let room = usize::from(width).saturating_sub(right.chars().count() + 1);
        let left: String = left.chars().take(room).collect();
        let padding = usize::from(width)
            .saturating_sub(left.chars().count())
            .saturating_sub(right.chars().count());
        Line::from(format!("{left}{}{right}", " ".repeat(padding))).reversed()
    }
}

fn cards(screen: &mut ratatui::Frame<'_>, body: Rect, lines: u16, frame: &Frame) {
    let bars = (lines - 1 - u16::from(lines > CARD)).min(TALLEST);
    let heights = frame
        .rails
        .iter()
        .map(|_| Constraint::Length((bars + 2).min(lines)));
    let areas = Layout::vertical(heights).split(body);
    for (rail, area) in frame.rails.iter().zip(areas.iter()) {
        card(screen, *area, bars, rail, frame.now);
    }
}

fn card(screen: &mut ratatui::Frame<'_>, area: Rect, bars: u16, rail: &RailFrame, now: MonoNs) {
    let [title, body] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(bars)]).areas(area);
    let mut about = format!("  {} · {}", rail.boundary, rail.source);
    if let Some(mode) = &rail.mode {
        about.push(' ');
        about.push_str(mode);
    }
    let mut parts = vec![
        Span::from(rail.name.clone()).bold(),
        Span::from(about).dim(),
    ];
    if rail.simulated {
        parts.push(Span::from("  SIMULATED").magenta().bold());
    }
    screen.render_widget(Line::from(parts), title);
    let quality = Span::from(figure::quality(rail.quality)).style(style(rail.quality));
    screen.render_widget(Line::from(quality).alignment(Alignment::Right), title);

    let [left, middle, volts, rate] = Layout::horizontal([
        Constraint::Length(LEFT),
        Constraint::Fill(1),
        Constraint::Length(RIGHT),
        Constraint::Length(RIGHT),
    ])
    .areas(body);
    let chart = Chart::new(
        &rail.history,
        bars_color(rail),
        now,
        middle.width.saturating_sub(1),
        bars,
    );
    let mut numbers = vec![power(rail)];
    if bars >= 3 {
        numbers.push(chart.bounds().into());
    }
    numbers.push(or_missing(rail.energy, |energy| figure::joules(energy.0)).into());
    let numbers: Vec<Line<'_>> = numbers
        .into_iter()
        .map(|number| Line::from(vec!["  ".into(), number]))
        .collect();
    screen.render_widget(Paragraph::new(numbers), left);
    screen.render_widget(chart.bars(), middle);
    let column = |upper: String, lower: String| {
        Paragraph::new(vec![Line::from(upper), Line::from(lower)]).alignment(Alignment::Right)
    };
    screen.render_widget(column(voltage(rail), current(rail)), volts);
    screen.render_widget(column(pace(rail), coverage(rail)), rate);
}

/// A column of the rows: its heading, its width, its text.
type Cell = (&'static str, u16, fn(&RailFrame) -> String);

const BOUNDARY: Cell = ("boundary", 11, |rail| rail.boundary.to_string());
const POWER: Cell = ("power", 9, |rail| power(rail).to_string());
const VOLTAGE: Cell = ("voltage", 8, voltage);
const CURRENT: Cell = ("current", 8, current);
const RATE: Cell = ("rate", 8, pace);
const COVERAGE: Cell = ("coverage", 8, coverage);
const ENERGY: Cell = ("energy", 9, |rail| {
    or_missing(rail.energy, |energy| figure::joules(energy.0))
});

/// What fits beside a name and a minute worth looking at.
fn columns(width: u16) -> &'static [Cell] {
    match width {
        110.. => &[BOUNDARY, POWER, VOLTAGE, CURRENT, RATE, COVERAGE, ENERGY],
        76.. => &[BOUNDARY, POWER, RATE, COVERAGE],
        50.. => &[POWER, RATE],
        _ => &[POWER],
    }
}

fn rows(screen: &mut ratatui::Frame<'_>, body: Rect, rails: &[RailFrame], now: MonoNs) {
    let cells = columns(body.width);
    let longest = rails.iter().map(|rail| rail.name.chars().count() as u16);
    let name = longest.max().unwrap_or(0).clamp(6, (body.width / 3).max(6));
    let widths: Vec<Constraint> = std::iter::once(name)
        .chain(cells.iter().map(|(_, width, _)| *width))
        .map(Constraint::Length)
        .chain([Constraint::Fill(1)])
        .collect();
    let row = |line: u16| {
        let area = Rect {
            y: body.y + line,
            height: 1,
            ..body
        };
        Layout::horizontal(widths.clone()).spacing(1).split(area)
    };
    if body.height == 0 {
        return;
    }
    let heading = row(0);
    let names = std::iter::once("rail").chain(cells.iter().map(|(name, _, _)| *name));
    for (index, text) in names.chain(["last minute"]).enumerate() {
        let is_figure = index > 0 && index <= cells.len() && text != "boundary";
        let line = Line::from(text).dim();
        let line = if is_figure {
            line.right_aligned()
        } else {
            line
        };
        screen.render_widget(line, heading[index]);
    }
    for (line, rail) in (1..body.height).zip(rails) {
        let areas = row(line);
        let color = if rail.simulated {
            Color::Magenta
        } else {
            Color::Reset
        };
        let name = Span::from(rail.name.clone()).bold().fg(color);
        screen.render_widget(Line::from(name), areas[0]);
        for ((heading, _, text), area) in cells.iter().zip(&areas[1..]) {
            let text = Span::from(text(rail));
            let text = if *heading == "power" {
                text.style(style(rail.quality)).bold()
            } else {
                text
            };
            let line = Line::from(text);
            let line = if *heading == "boundary" {
                line
            } else {
                line.right_aligned()
            };
            screen.render_widget(line, *area);
        }
        let last = areas[areas.len() - 1];
        screen.render_widget(
            Chart::new(&rail.history, bars_color(rail), now, last.width, 1).bars(),
            last,
        );
    }
}

fn power(rail: &RailFrame) -> Span<'static> {
    Span::from(or_missing(rail.power, |power| figure::watts(power.0))).bold()
}

fn voltage(rail: &RailFrame) -> String {
    or_missing(rail.voltage, |voltage| figure::volts(voltage.0))
}

fn current(rail: &RailFrame) -> String {
    or_missing(rail.current, |current| figure::amps(current.0))
}

fn pace(rail: &RailFrame) -> String {
    or_missing(rail.rate_hz, figure::rate)
}

fn coverage(rail: &RailFrame) -> String {
    or_missing(rail.coverage, figure::share)
}

fn bars_color(rail: &RailFrame) -> Color {
    match rail.quality {
        Quality::Good if rail.simulated => Color::Magenta,
        Quality::Good => Color::Green,
        Quality::NearFullScale => Color::Yellow,
        Quality::Saturated | Quality::Failed => Color::Red,
        Quality::Stale => Color::DarkGray,
    }
}

fn style(quality: Quality) -> Style {
    match quality {
        Quality::Good => Style::new().green(),
        Quality::NearFullScale => Style::new().yellow(),
        Quality::Saturated | Quality::Failed => Style::new().red().bold(),
        Quality::Stale => Style::new().dim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minute::History;
    use crate::sensor::Boundary;
    use crate::units::{self, Amps, Joules, Volts, Watts};
    use proptest::prelude::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    const NOW_S: u64 = 500;

    fn rail(name: &str, power: impl Fn(f64) -> Option<f64>) -> RailFrame {
        let mut history = History::default();
        for tick in 0..240 {
            let t0 = (NOW_S - 60) * 1_000_000_000 + tick * 250_000_000;
            if let Some(watts) = power(tick as f64 / 4.0) {
                let length = units::Span::from_millis(250);
                history.add(MonoNs(t0), MonoNs(t0) + length, Watts(watts));
            }
        }
        let now = power(59.75);
        RailFrame {
            name: name.to_owned(),
            source: "ina219",
            boundary: Boundary::BoardInput,
            simulated: false,
            mode: Some("avg8/12bit".to_owned()),
            power: now.map(Watts),
            voltage: now.map(|_| Volts(5.08)),
            current: now.map(|watts| Amps(watts / 5.08)),
            quality: if now.is_some() {
                Quality::Good
            } else {
                Quality::Failed
            },
            rate_hz: now.map(|_| 208.7),
            coverage: Some(if now.is_some() { 1.0 } else { 0.75 }),
            energy: Some(Joules(614.8)),
            history,
        }
    }

    fn frame(rails: Vec<RailFrame>) -> Frame {
        Frame {
            now: MonoNs(NOW_S * 1_000_000_000),
            elapsed: units::Span::from_millis(83_000),
            rails,
            faults: vec![(
                "wall".to_owned(),
                "127.0.0.1:502: connection refused".to_owned(),
            )],
        }
    }

    fn waves() -> Vec<RailFrame> {
        let mut square = rail("input", |t| Some(if t % 20.0 < 10.0 { 3.0 } else { 9.5 }));
        square.quality = Quality::NearFullScale;
        let mut sine = rail("try", |t| Some(5.0 + (t / 3.0).sin()));
        sine.simulated = true;
        let gone = rail("board.vdd_in", |t| (t < 45.0).then_some(6.5 + t / 30.0));
        vec![square, sine, gone]
    }

    fn drawn(width: u16, height: u16, frame: &Frame) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut view = View {
            board: "raspberrypi-5 · Raspberry Pi 5 Model B Rev 1.0".to_owned(),
            offset: 0,
        };
        terminal.draw(|screen| view.draw(screen, frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn cards_at_80_by_24() {
        insta::assert_snapshot!(drawn(80, 24, &frame(waves())));
    }

    #[test]
    fn cards_at_120_by_40() {
        insta::assert_snapshot!(drawn(120, 40, &frame(waves())));
    }

    #[test]
    fn rows_where_there_are_many_rails() {
        let rails = waves().into_iter().cycle().take(12).collect();
        insta::assert_snapshot!(drawn(120, 18, &frame(rails)));
    }

    #[test]
    fn a_small_terminal_shows_the_power() {
        insta::assert_snapshot!(drawn(40, 6, &frame(waves())));
    }

    proptest! {
        #[test]
        fn any_size_is_drawn(width in 1..160u16, height in 1..50u16, rails in 0..9usize) {
            let rails = waves().into_iter().cycle().take(rails).collect();
            drawn(width, height, &frame(rails));
        }
    }
}
