use super::super::testing::{NOW_S, Recorded, at, forty, lab};
use super::*;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

fn app(fleet: Fleet, device: Option<&str>) -> App {
    App::new(fleet, device)
}

fn buffer(app: &mut App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame, app, at(NOW_S), true))
        .unwrap();
    terminal.backend().buffer().clone()
}

/// What is shown, line by line.
fn drawn(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame, app, at(NOW_S), true))
        .unwrap();
    terminal.backend().to_string()
}

fn press(app: &mut App, keys: &[KeyCode]) {
    for key in keys {
        app.key(KeyEvent::from(*key), at(NOW_S));
    }
}

#[test]
fn a_fleet_at_80_by_24() {
    insta::assert_snapshot!(drawn(&mut app(lab(), None), 80, 24));
}

#[test]
fn a_fleet_at_120_by_40() {
    insta::assert_snapshot!(drawn(&mut app(lab(), None), 120, 40));
}

#[test]
fn a_fleet_at_200_by_50() {
    insta::assert_snapshot!(drawn(&mut app(lab(), None), 200, 50));
}

#[test]
fn forty_boards_at_120_by_40() {
    let mut app = app(forty(), None);
    press(&mut app, &[KeyCode::End]);
    insta::assert_snapshot!(drawn(&mut app, 120, 40));
}

#[test]
fn no_board_yet() {
    insta::assert_snapshot!(drawn(&mut app(Recorded::new().fleet, None), 80, 24));
}

#[test]
fn a_lost_broker_keeps_what_was_heard() {
    let mut fleet = lab();
    fleet.lost("Connection refused (os error 111)", at(148));
    insta::assert_snapshot!(drawn(&mut app(fleet, None), 80, 12));
}

#[test]
fn a_board_that_tells_its_tokens_at_80_by_24() {
    insta::assert_snapshot!(drawn(&mut app(lab(), Some("pi5-01")), 80, 24));
}

#[test]
fn a_board_that_tells_its_tokens_at_120_by_40() {
    insta::assert_snapshot!(drawn(&mut app(lab(), Some("pi5-01")), 120, 40));
}

#[test]
fn a_board_that_tells_its_tokens_at_200_by_50() {
    insta::assert_snapshot!(drawn(&mut app(lab(), Some("pi5-01")), 200, 50));
}

#[test]
fn a_board_that_measures_in_silence() {
    insta::assert_snapshot!(drawn(&mut app(lab(), Some("pi5-02")), 80, 24));
}

#[test]
fn a_board_that_is_offline() {
    insta::assert_snapshot!(drawn(&mut app(lab(), Some("orin-02")), 80, 24));
}

#[test]
fn a_simulated_board_says_so() {
    let text = drawn(&mut app(lab(), Some("sim-01")), 120, 24);
    insta::assert_snapshot!(text);
    // At its name, its rail and its last result.
    assert_eq!(text.matches("SIMULATED").count(), 4, "{text}");
}

#[test]
fn facts_of_a_board() {
    let mut app = app(lab(), Some("rock5-01"));
    press(&mut app, &[KeyCode::BackTab]);
    insta::assert_snapshot!(drawn(&mut app, 80, 40));
}

#[test]
fn a_board_that_nobody_has_heard_of() {
    let text = drawn(&mut app(lab(), Some("pi6")), 80, 24);
    assert!(
        text.contains("Nothing was heard of a board named pi6"),
        "{text}"
    );
}

#[test]
fn help_and_the_question_before_a_cancel() {
    let mut app = app(lab(), None);
    press(&mut app, &[KeyCode::Char('?')]);
    insta::assert_snapshot!("help", drawn(&mut app, 80, 24));
    press(
        &mut app,
        &[
            KeyCode::Esc,
            KeyCode::End,
            KeyCode::Home,
            KeyCode::Char('s'),
            KeyCode::Char('s'),
            KeyCode::Home,
            KeyCode::Char('c'),
        ],
    );
    let text = drawn(&mut app, 80, 24);
    assert!(text.contains("Cancel fig3-q4 on pi5-01?"), "{text}");
}

/// What a board says of itself must not steer the terminal.
#[test]
fn control_characters_are_not_drawn() {
    let mut recorded = Recorded::new();
    recorded.board("pi5-01", "rpi\u{1b}[2J", None);
    let event = serde_json::json!({"code": "x\u{1b}[8m", "message": "\u{202e}owned \u{7}\r\n"});
    recorded.say(5, "pi5-01", "events", &event);
    let mut app = app(recorded.fleet, Some("pi5-01"));
    press(&mut app, &[KeyCode::Tab]);
    for size in [(80, 24), (200, 50)] {
        let buffer = buffer(&mut app, size.0, size.1);
        for cell in buffer.content() {
            let odd = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!cell.symbol().contains(odd), "{:?}", cell.symbol());
        }
    }
}

#[test]
fn without_colors_nothing_has_one_and_nothing_is_lost() {
    let mut app = app(lab(), None);
    let mut terminal = Terminal::new(TestBackend::new(120, 24)).unwrap();
    terminal
        .draw(|frame| draw(frame, &mut app, at(NOW_S), false))
        .unwrap();
    let plain = terminal.backend().buffer().clone();
    for cell in plain.content() {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
    let symbols =
        |buffer: &Buffer| -> String { buffer.content().iter().map(|cell| cell.symbol()).collect() };
    assert_eq!(symbols(&plain), symbols(&buffer(&mut app, 120, 24)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_size_and_any_keys_can_be_drawn(
        width in 1..220u16,
        height in 1..60u16,
        keys in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Up, KeyCode::Down,
                    KeyCode::End, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Backspace,
                ]),
                "[a-z/?\\[\\]]".prop_map(|c| KeyCode::Char(c.chars().next().unwrap())),
            ],
            0..12,
        ),
    ) {
        let mut app = app(lab(), None);
        press(&mut app, &keys);
        drawn(&mut app, width, height);
    }
}

mod pictures {
    use super::super::super::picture;
    use super::*;

    /// Pictures for the documents, drawn from the recorded fleet. `JOULED_PICTURES=write` writes
    /// them anew.
    #[test]
    fn pictures_show_what_is_drawn() {
        for (name, device, keys) in [
            ("watch-fleet", None, &[] as &[KeyCode]),
            ("watch-board", Some("pi5-01"), &[]),
        ] {
            let mut app = app(lab(), device);
            press(&mut app, keys);
            let svg = picture::svg(&buffer(&mut app, 120, 32), "joulectl watch");
            let file = format!("{}/docs/images/{name}.svg", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("JOULED_PICTURES").is_some_and(|word| word == "write") {
                std::fs::write(&file, &svg).unwrap();
            }
            let kept = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                kept == svg,
                "docs/images/{name}.svg is not what is drawn; JOULED_PICTURES=write cargo test \
                 --lib pictures writes it, then look at it"
            );
        }
    }
}
