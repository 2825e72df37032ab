use super::*;
use serde_json::Value;

const START: MonoNs = MonoNs(1_000_000_000_000);

fn boards() -> Boards {
    let mut boards = Boards::new("jouled", "answers/me", "r");
    boards.status("pi5-01", &status("online"), START);
    boards
}

fn status(state: &str) -> Vec<u8> {
    json!({"state": state, "version": "1", "machine_id": "m", "since": "",
           "jobs_queued": 0, "job_running": null})
    .to_string()
    .into_bytes()
}

fn job(arrival: u64, state: &str) -> Value {
    json!({"id": format!("job-{arrival}"), "attempt": 1, "rev": 4, "state": state,
           "reason": null, "priority": 0, "submitted_unix_s": 1, "arrival": arrival})
}

fn body(question: &Question) -> Value {
    serde_json::from_str(&question.payload).unwrap()
}

fn gap() -> Gap {
    Gap {
        device: "pi5-01".to_owned(),
        id: "smol-1".to_owned(),
        attempt: 2,
        from_seq: Some(7),
    }
}

fn answered(boards: &mut Boards, question: &Question, answer: &Value) -> Said {
    let correlation = question.correlation.as_bytes();
    let payload = answer.to_string();
    boards
        .answer(correlation, payload.as_bytes(), START)
        .unwrap()
}

#[test]
fn a_board_that_comes_online_is_asked_for_all_its_jobs_page_by_page() {
    let mut boards = boards();
    let [first] = &boards.questions(START)[..] else {
        panic!("one question");
    };
    assert_eq!(first.topic, "jouled/pi5-01/cmd/jobs");
    assert_eq!(body(first), json!({"after": 0, "limit": PAGE}));
    assert!(!boards.at_rest(START));
    let page = json!({"ok": true, "newest": 4, "left_out": 0,
                      "jobs": [job(1, "succeeded"), job(2, "running"), job(3, "failed")]});
    let Said::Jobs { jobs, .. } = answered(&mut boards, first, &page) else {
        panic!("jobs");
    };
    assert_eq!(jobs.len(), 3);
    assert!(boards.questions(START).is_empty() && !boards.at_rest(START));
    let second = boards.questions(START + PAGE_PAUSE).remove(0);
    assert_eq!(body(&second)["after"], 3);
    let page = json!({"ok": true, "newest": 4, "jobs": [job(4, "succeeded")]});
    answered(&mut boards, &second, &page);
    assert!(boards.questions(START).is_empty() && boards.at_rest(START));
    // The next round begins after the last job before one that goes on.
    let later = START + LIST_EVERY;
    assert_eq!(body(&boards.questions(later)[0])["after"], 1);
}

#[test]
fn a_board_that_runs_a_job_is_not_asked_for_records() {
    let mut boards = boards();
    assert_eq!(boards.reachable(START).0, ["pi5-01"]);
    let mut running: Value = serde_json::from_slice(&status("online")).unwrap();
    running["job_running"] = json!("smol-2");
    boards.status("pi5-01", running.to_string().as_bytes(), START);
    assert!(boards.reachable(START).0.is_empty());
    assert_eq!(boards.have_run(), ["pi5-01"]);
    assert_eq!(boards.have_run(), ["pi5-01"], "it still runs");
    boards.status("pi5-01", &status("online"), START);
    assert_eq!(boards.have_run(), ["pi5-01"]);
    assert!(boards.have_run().is_empty());
    assert_eq!(boards.reachable(START).0, ["pi5-01"]);
}

#[test]
fn a_board_whose_store_began_anew_is_listed_from_the_start() {
    let mut boards = boards();
    let first = boards.questions(START).remove(0);
    let page = json!({"ok": true, "newest": 9, "jobs": [job(9, "succeeded")]});
    answered(&mut boards, &first, &page);
    let later = START + LIST_EVERY;
    let again = boards.questions(later).remove(0);
    assert_eq!(body(&again)["after"], 9);
    let none = json!({"ok": true, "newest": 2, "jobs": []});
    answered(&mut boards, &again, &none);
    assert_eq!(body(&boards.questions(later)[0])["after"], 0);
}

#[test]
fn a_board_without_an_answer_is_asked_again_later() {
    let mut boards = boards();
    assert_eq!(boards.questions(START).len(), 1);
    assert!(boards.questions(START).is_empty());
    let later = START + ANSWER_WITHIN + SOME_TIME;
    assert_eq!(boards.questions(later).len(), 1);
    boards.status("pi5-01", &status("offline"), later);
    let much_later = later + LIST_EVERY;
    assert!(boards.questions(much_later).is_empty() && boards.at_rest(much_later));
}

#[test]
fn a_replay_names_what_is_missing() {
    let mut boards = boards();
    let question = boards.replay(gap(), START);
    assert_eq!(question.topic, "jouled/pi5-01/cmd/replay");
    let wanted = json!({"id": "smol-1", "attempt": 2, "from_seq": 7});
    assert_eq!(body(&question), wanted);
    let answer = json!({"ok": true, "id": "smol-1", "state": "succeeded", "records": 5});
    let said = answered(&mut boards, &question, &answer);
    let outcome = Outcome::Sends(5);
    assert_eq!(
        said,
        Said::Replay {
            gap: gap(),
            outcome
        }
    );
    let correlation = question.correlation.as_bytes();
    assert_eq!(
        boards.answer(correlation, b"{}", START),
        None,
        "it came twice"
    );
}

#[test]
fn who_asks_too_often_waits_as_told() {
    let mut boards = boards();
    let question = boards.replay(gap(), START);
    let answer = json!({"ok": false, "error": {"code": "rate-limited", "field": null,
        "message": "more than 60 commands came within a minute; try again in 7 s"}});
    let wait = Span::from_millis(7_000);
    let said = answered(&mut boards, &question, &answer);
    let outcome = Outcome::Later(wait);
    assert_eq!(
        said,
        Said::Replay {
            gap: gap(),
            outcome
        }
    );
    assert!(boards.reachable(START).0.is_empty());
    assert_eq!(boards.reachable(START + wait).0, ["pi5-01"]);
}

#[test]
fn a_list_that_does_not_get_on_ends() {
    let mut boards = boards();
    let first = boards.questions(START).remove(0);
    let page = json!({"ok": true, "newest": u64::MAX, "jobs": [job(3, "succeeded")]});
    answered(&mut boards, &first, &page);
    let second = boards.questions(START + PAGE_PAUSE).remove(0);
    let again = json!({"ok": true, "newest": u64::MAX, "jobs": [job(2, "succeeded")]});
    answered(&mut boards, &second, &again);
    let later = START + PAGE_PAUSE;
    assert!(boards.questions(later).is_empty() && boards.at_rest(later));
}

#[test]
fn a_fleet_that_comes_online_at_once_is_asked_bit_by_bit() {
    let mut boards = Boards::new("jouled", "answers/me", "r");
    for number in 0..2_000 {
        boards.status(&format!("board-{number}"), &status("online"), START);
    }
    let page = json!({"ok": true, "newest": 0, "jobs": []});
    let mut asked = std::collections::BTreeSet::new();
    while asked.len() < 2_000 {
        let questions = boards.questions(START);
        assert_eq!(questions.len(), MOST_LISTS);
        assert!(boards.questions(START).is_empty());
        for question in questions {
            answered(&mut boards, &question, &page);
            assert!(asked.insert(question.topic));
        }
    }
    assert!(boards.questions(START).is_empty() && boards.at_rest(START));
}

#[test]
fn few_replays_wait_at_a_time() {
    let mut boards = boards();
    for asked in 0..MOST_REPLAYS {
        assert_eq!(boards.reachable(START).1, MOST_REPLAYS - asked);
        boards.replay(gap(), START);
    }
    assert_eq!(boards.reachable(START).1, 0);
}

#[test]
fn names_that_are_no_devices_are_not_asked() {
    let mut boards = Boards::new("jouled", "answers/me", "r");
    for name in ["", "a/b", "+", "UPPER", "x\0"] {
        boards.status(name, &status("online"), START);
    }
    assert_eq!(boards.online(), 0);
}
