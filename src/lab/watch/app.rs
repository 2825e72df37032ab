//! What the person at the terminal sees and does: keys in, what is shown and what is asked of
//! boards out. Pure; time is an argument.

use super::activity::Activity;
use super::fleet::{Fleet, Taken};
use super::row::{self, Row, Sort};
use crate::units::{MonoNs, Span};
use crate::workload::JobState;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// How long an answer stays on the last line.
const NOTICE_FOR: Span = Span::from_millis(8_000);

pub struct App {
    pub fleet: Fleet,
    /// What is shown while the person looks at it in peace.
    frozen: Option<(MonoNs, Box<Fleet>)>,
    pub view: View,
    /// The board that the cursor is on, by name: rows move.
    pub selected: Option<String>,
    pub filter: String,
    pub typing: bool,
    pub sort: Sort,
    pub help: bool,
    pub question: Option<Question>,
    notice: Option<(MonoNs, String)>,
    pub pane: Pane,
    /// The first line shown of events and info, and the job that the cursor is on.
    pub scroll: u16,
    pub job: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    Fleet,
    Board(String),
}

/// The lower part of a board's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    #[default]
    Jobs,
    Events,
    Info,
}

/// Asked before a job is cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub device: String,
    pub id: String,
    pub state: JobState,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Quit,
    Cancel {
        device: String,
        id: String,
    },
    /// Ask the board for its jobs.
    List {
        device: String,
    },
}

impl Pane {
    pub const ALL: [Self; 3] = [Self::Jobs, Self::Events, Self::Info];

    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "Jobs",
            Self::Events => "Events",
            Self::Info => "Info",
        }
    }

    fn step(self, by: usize) -> Self {
        let place = Self::ALL.iter().position(|pane| *pane == self);
        Self::ALL[(place.unwrap_or(0) + by) % Self::ALL.len()]
    }
}

impl App {
    /// Begins with all boards, or with the one that is named.
    pub fn new(fleet: Fleet, device: Option<&str>) -> Self {
        Self {
            fleet,
            frozen: None,
            view: device.map_or(View::Fleet, |name| View::Board(name.to_owned())),
            selected: device.map(str::to_owned),
            filter: String::new(),
            typing: false,
            sort: Sort::default(),
            help: false,
            question: None,
            notice: None,
            pane: Pane::default(),
            scroll: 0,
            job: None,
        }
    }

    /// Takes a message; whether it is news.
    pub fn take(&mut self, topic: &str, payload: &[u8], retained: bool, now: MonoNs) -> bool {
        self.fleet.take(topic, payload, retained, now) != Taken::Nothing
    }

    /// What is to be drawn, and of which moment.
    pub fn shown(&self, now: MonoNs) -> (&Fleet, MonoNs) {
        match &self.frozen {
            Some((then, fleet)) => (fleet, *then),
            None => (&self.fleet, now),
        }
    }

    pub fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub fn rows(&self, now: MonoNs) -> Vec<Row<'_>> {
        let (fleet, now) = self.shown(now);
        row::rows(fleet, &self.filter, self.sort, now)
    }

    /// The line that the cursor is on.
    pub fn cursor(&self, rows: &[Row<'_>]) -> usize {
        let selected = self.selected.as_deref();
        let place = rows
            .iter()
            .position(|row| Some(row.board.name.as_str()) == selected);
        place.unwrap_or(0)
    }

    pub fn notify(&mut self, text: String, now: MonoNs) {
        self.notice = Some((now, text));
    }

    pub fn notice(&self, now: MonoNs) -> Option<&str> {
        let (at, text) = self.notice.as_ref()?;
        (now.since(*at) < NOTICE_FOR).then_some(text.as_str())
    }

    /// What a key does.
    pub fn key(&mut self, key: KeyEvent, now: MonoNs) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
        }
        if let Some(question) = self.question.take() {
            return self.answered(question, key.code, now);
        }
        if self.help {
            self.help = false;
            return None;
        }
        if self.typing {
            self.type_filter(key.code);
            return None;
        }
        match key.code {
            KeyCode::Char('q') => return Some(Action::Quit),
            KeyCode::Char('?') | KeyCode::Char('h') | KeyCode::F(1) => self.help = true,
            KeyCode::Char('p') | KeyCode::Char(' ') => {
                self.frozen = match self.frozen.take() {
                    Some(_) => None,
                    None => Some((now, Box::new(self.fleet.clone()))),
                };
            }
            KeyCode::Char('c') => self.ask_to_cancel(now),
            _ => {
                return match self.view.clone() {
                    View::Fleet => self.fleet_key(key.code, now),
                    View::Board(name) => self.board_key(&name, key.code, now),
                };
            }
        }
        None
    }

    fn fleet_key(&mut self, code: KeyCode, now: MonoNs) -> Option<Action> {
        match code {
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => {
                let rows = self.rows(now);
                let name = rows.get(self.cursor(&rows))?.board.name.clone();
                self.open(name);
            }
            code => {
                let rows = self.rows(now);
                let to = moved(code, self.cursor(&rows), rows.len())?;
                let name = rows.get(to).map(|row| row.board.name.clone());
                self.selected = name;
            }
        }
        None
    }

    fn open(&mut self, name: String) {
        self.selected = Some(name.clone());
        self.view = View::Board(name);
        self.scroll = 0;
        self.job = None;
    }

    /// An answer costs the board little, but while a job is measured it costs at all.
    pub fn list(&self, name: &str) -> Option<Action> {
        let board = self.fleet.boards.get(name)?;
        (board.is_online() && board.run.is_none()).then(|| Action::List {
            device: name.to_owned(),
        })
    }

    fn board_key(&mut self, name: &str, code: KeyCode, now: MonoNs) -> Option<Action> {
        match code {
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => self.view = View::Fleet,
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Pane::ALL.len() - 1),
            KeyCode::Char('r') => {
                let action = self.list(name);
                if action.is_none() {
                    let text = "jobs are not asked for while one is measured, or with the board \
                                offline";
                    self.notify(text.to_owned(), now);
                }
                return action;
            }
            KeyCode::Char('[') | KeyCode::Char(']') => {
                // The board before or after, without the way back.
                let rows = self.rows(now);
                let at = rows.iter().position(|row| row.board.name == name)?;
                let step = if code == KeyCode::Char('[') {
                    rows.len() - 1
                } else {
                    1
                };
                let next = rows.get((at + step) % rows.len())?.board.name.clone();
                self.open(next);
            }
            code => match self.pane {
                Pane::Jobs => {
                    let (fleet, _) = self.shown(now);
                    let jobs = fleet.boards.get(name)?.jobs_in_order();
                    let at = self.job_cursor(&jobs);
                    let to = moved(code, at, jobs.len())?;
                    self.job = jobs.get(to).map(|job| job.state.id.clone());
                }
                Pane::Events | Pane::Info => {
                    let to = moved(code, usize::from(self.scroll), usize::from(u16::MAX))?;
                    // The view knows how much there is.
                    self.scroll = u16::try_from(to).unwrap_or(u16::MAX);
                }
            },
        }
        None
    }

    /// The job that the cursor is on.
    pub fn job_cursor(&self, jobs: &[&super::board::Job]) -> usize {
        let place = jobs
            .iter()
            .position(|job| Some(&job.state.id) == self.job.as_ref());
        place.unwrap_or(0)
    }

    fn turn(&mut self, by: usize) {
        self.pane = self.pane.step(by);
        self.scroll = 0;
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
    }

    /// The selected job of a board, or the one that the selected board runs.
    fn ask_to_cancel(&mut self, now: MonoNs) {
        let found = match &self.view {
            View::Fleet => self.running_job_of_selected(now),
            View::Board(name) => self.selected_job(name, now),
        };
        match found {
            Some(question) if question.state.is_final() => {
                let (id, state) = (question.id, question.state.as_str());
                self.notify(format!("{id} has ended already: {state}"), now);
            }
            Some(question) => self.question = Some(question),
            None => self.notify("no job is selected that could be cancelled".to_owned(), now),
        }
    }

    fn running_job_of_selected(&self, now: MonoNs) -> Option<Question> {
        let rows = self.rows(now);
        let row = rows.get(self.cursor(&rows))?;
        let Activity::Runs(running) = &row.activity else {
            return None;
        };
        Some(Question {
            device: row.board.name.clone(),
            id: running.run.id.clone(),
            state: JobState::Running,
        })
    }

    fn selected_job(&self, name: &str, now: MonoNs) -> Option<Question> {
        let (fleet, _) = self.shown(now);
        let board = fleet.boards.get(name)?;
        let jobs = board.jobs_in_order();
        let job = jobs.get(self.job_cursor(&jobs));
        let question = |id: &str, state| Question {
            device: name.to_owned(),
            id: id.to_owned(),
            state,
        };
        match (job, &board.run) {
            (Some(job), _) => Some(question(&job.state.id, job.state.state)),
            (None, Some(run)) => Some(question(&run.id, JobState::Running)),
            (None, None) => None,
        }
    }

    fn answered(&mut self, question: Question, code: KeyCode, now: MonoNs) -> Option<Action> {
        let Question { device, id, .. } = question;
        if matches!(code, KeyCode::Char('y') | KeyCode::Char('Y')) {
            self.notify(format!("cancelling {id} on {device} …"), now);
            return Some(Action::Cancel { device, id });
        }
        self.notify(format!("{id} goes on"), now);
        None
    }
}

/// Where a key moves a cursor that stands at `at` of `count` lines; `None`: it is no such key.
fn moved(code: KeyCode, at: usize, count: usize) -> Option<usize> {
    let last = count.saturating_sub(1);
    Some(match code {
        KeyCode::Down | KeyCode::Char('j') => (at + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => (at + 10).min(last),
        KeyCode::PageUp => at.saturating_sub(10),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW_S, at, lab};
    use super::*;

    fn keys(app: &mut App, keys: &str) -> Option<Action> {
        let mut action = None;
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\u{1b}' => KeyCode::Esc,
                '↓' => KeyCode::Down,
                c => KeyCode::Char(c),
            };
            action = app.key(KeyEvent::from(code), at(NOW_S));
        }
        action
    }

    fn selected(app: &App) -> String {
        let rows = app.rows(at(NOW_S));
        rows[app.cursor(&rows)].board.name.clone()
    }

    #[test]
    fn the_cursor_stays_on_its_board_when_rows_move() {
        let mut app = App::new(lab(), None);
        assert_eq!(selected(&app), "orin-01");
        keys(&mut app, "↓↓");
        assert_eq!(selected(&app), "pi5-01");
        keys(&mut app, "ssss");
        assert_eq!((app.sort.name(), &*selected(&app)), ("power", "pi5-01"));
        keys(&mut app, "\n");
        assert_eq!(app.view, View::Board("pi5-01".to_owned()));
        keys(&mut app, "]");
        assert_eq!(app.view, View::Board("rock5-01".to_owned()));
        keys(&mut app, "\u{1b}");
        assert_eq!((&app.view, &*selected(&app)), (&View::Fleet, "rock5-01"));
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let mut app = App::new(lab(), None);
        // While it is typed, letters are no commands.
        assert_eq!(keys(&mut app, "/jetsonq"), None);
        assert_eq!(app.rows(at(NOW_S)).len(), 0);
        app.key(KeyEvent::from(KeyCode::Backspace), at(NOW_S));
        keys(&mut app, "\n");
        assert_eq!(app.rows(at(NOW_S)).len(), 2);
        keys(&mut app, "\u{1b}");
        assert_eq!(app.rows(at(NOW_S)).len(), 6);
    }

    #[test]
    fn nothing_is_cancelled_without_a_yes() {
        let mut app = App::new(lab(), None);
        keys(&mut app, "↓↓");
        assert_eq!(keys(&mut app, "cn"), None);
        assert_eq!(keys(&mut app, "c\n"), None);
        let cancel = Some(Action::Cancel {
            device: "pi5-01".to_owned(),
            id: "fig3-q4".to_owned(),
        });
        assert_eq!(keys(&mut app, "cy"), cancel);
        // In the board's list, the job under the cursor.
        let cancel = Some(Action::Cancel {
            device: "pi5-01".to_owned(),
            id: "fig3-q5".to_owned(),
        });
        assert_eq!(keys(&mut app, "\n↓cy"), cancel);
        // One that has ended can't be.
        assert_eq!(keys(&mut app, "G"), None);
        assert_eq!(keys(&mut app, "c"), None);
        assert_eq!(app.question, None);
        assert!(app.notice(at(NOW_S)).unwrap().contains("has ended already"));
    }

    #[test]
    fn a_board_is_not_asked_while_it_measures() {
        let app = App::new(lab(), None);
        assert_eq!(app.list("pi5-02"), None);
        assert_eq!(app.list("orin-02"), None);
        let list = Action::List {
            device: "orin-01".to_owned(),
        };
        assert_eq!(app.list("orin-01"), Some(list));
    }

    #[test]
    fn a_pause_shows_one_moment_while_boards_go_on() {
        let mut app = App::new(lab(), None);
        keys(&mut app, "p");
        app.take(
            "jouled/pi5-09/status",
            br#"{"state":"online","version":"","machine_id":"",
            "since":"","jobs_queued":0,"job_running":null}"#,
            false,
            at(NOW_S + 1),
        );
        assert_eq!(app.rows(at(NOW_S + 9)).len(), 6);
        assert_eq!(app.shown(at(NOW_S + 9)).1, at(NOW_S));
        keys(&mut app, "p");
        assert_eq!(app.rows(at(NOW_S + 9)).len(), 7);
    }

    #[test]
    fn control_c_quits_wherever_one_is() {
        for place in ["", "?", "/abc", "\n", "c"] {
            let mut app = App::new(lab(), None);
            keys(&mut app, place);
            let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
            assert_eq!(app.key(key, at(NOW_S)), Some(Action::Quit), "{place}");
        }
    }
}
