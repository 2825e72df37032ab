use super::*;
use crate::lab::dataset::Record;
use crate::lab::testing::{self, DEVICE, ID};
use crate::record::job::State;
use crate::record::{Stamp, Stamped};
use crate::units::{MonoNs, Span};
use crate::workload::JobState;
use proptest::prelude::*;
use std::ops::ControlFlow;

const START: MonoNs = MonoNs(1_000_000_000_000);
const GRACE: Span = Span::from_millis(10_000);

struct Bench {
    folder: tempfile::TempDir,
    staging: Staging,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path(), "5eed0001").unwrap();
        Self { folder, staging }
    }

    /// What a kill and a new start leave.
    fn reopen(self) -> Self {
        let Self { folder, staging } = self;
        drop(staging);
        let staging = Staging::open(folder.path(), "0ther").unwrap();
        Self { folder, staging }
    }

    fn keep(&mut self, messages: &[(String, Vec<u8>)]) -> Kept {
        let batch: Vec<Parsed<'_>> = messages
            .iter()
            .map(|(topic, payload)| Parsed {
                topic,
                payload,
                record: Record::parse("jouled", topic, payload).transpose().unwrap(),
            })
            .collect();
        self.staging.keep(&batch, START, GRACE).unwrap()
    }

    fn due(&mut self, now: MonoNs) -> (Vec<Gap>, Vec<Closed>) {
        let devices = [DEVICE.to_owned()];
        self.staging.take_gaps(&devices, 10, now, GRACE).unwrap()
    }

    fn standing(&self) -> Standing {
        self.staging.standing(&[DEVICE.to_owned()]).unwrap()
    }

    fn topics(&self, roll: Roll) -> Vec<String> {
        let mut topics = Vec::new();
        self.staging
            .each_of(roll, |_, topic, _| {
                topics.push(topic.to_owned());
                ControlFlow::Continue(())
            })
            .unwrap();
        topics
    }
}

fn topic(kind: &str) -> String {
    format!("jouled/{DEVICE}/jobs/{ID}/{kind}")
}

fn tokens() -> Vec<(String, Vec<u8>)> {
    let records = testing::tokens(DEVICE, ID).into_iter().zip(0..);
    let numbered = records.map(|(mut record, seq)| {
        record.body.seq = seq;
        (topic("tokens"), record.to_json())
    });
    numbered.collect()
}

/// It announces the three records of tokens, and no trace.
fn result() -> (String, Vec<u8>) {
    let mut result = testing::result();
    result.body.records.tokens = 3;
    result.body.records.trace = 0;
    (topic("result"), result.to_json())
}

fn last_state(state: JobState, reason: Option<&str>) -> (String, Vec<u8>) {
    let state = Stamped {
        stamp: Stamp {
            device: DEVICE.to_owned(),
            ..testing::result().stamp
        },
        body: State {
            id: ID.to_owned(),
            attempt: 1,
            rev: 4,
            state,
            phase: None,
            progress: None,
            reason: reason.map(str::to_owned),
        },
    };
    (topic("state"), state.to_json())
}

fn rail(mono_ns: u64) -> (String, Vec<u8>) {
    let mut stamp = serde_json::to_value(&testing::result().stamp).unwrap();
    stamp["mono_ns"] = mono_ns.into();
    for (field, value) in [("rail", "input"), ("quality", "good")] {
        stamp[field] = value.into();
    }
    stamp["simulated"] = true.into();
    for field in ["power_w", "voltage_v", "current_a", "energy_wh"] {
        stamp[field] = serde_json::Value::Null;
    }
    let topic = format!("jouled/{DEVICE}/rails/input");
    (topic, stamp.to_string().into_bytes())
}

#[test]
fn what_comes_again_is_left_out_also_after_a_new_start() {
    let mut bench = Bench::new();
    let messages = [tokens(), vec![result()], vec![rail(1)]].concat();
    let kept = bench.keep(&messages);
    assert_eq!((kept.records, kept.of_jobs, kept.results), (5, 4, 1));
    let mut bench = bench.reopen();
    assert_eq!(bench.staging.id(), "5eed0001");
    let again = bench.keep(&messages);
    assert_eq!((again.records, again.duplicates), (0, 5));
    let roll = bench.staging.begin_roll(u64::MAX).unwrap().unwrap();
    assert_eq!(bench.topics(roll).len(), 5);
    bench.staging.finish_roll(roll).unwrap();
    // The payloads are gone, the identities are not.
    assert_eq!(bench.staging.staged().unwrap(), (0, 0));
    assert_eq!(bench.keep(&messages).duplicates, 5);
    assert_eq!(bench.staging.begin_roll(u64::MAX).unwrap(), None);
}

#[test]
fn a_roll_that_was_cut_short_is_the_same_roll_again() {
    let mut bench = Bench::new();
    bench.keep(&tokens());
    let begun = bench.staging.begin_roll(u64::MAX).unwrap().unwrap();
    let mut bench = bench.reopen();
    bench.keep(&[result()]);
    let unfinished = bench.staging.unfinished_rolls().unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].number, begun.number);
    assert_eq!(
        bench.topics(unfinished[0]),
        [topic("tokens"), topic("tokens"), topic("tokens")]
    );
    bench.staging.finish_roll(unfinished[0]).unwrap();
    assert!(bench.staging.unfinished_rolls().unwrap().is_empty());
    let next = bench.staging.begin_roll(u64::MAX).unwrap().unwrap();
    assert!(next.number > begun.number && !next.is_full);
    assert_eq!(bench.topics(next), [topic("result")]);
}

#[test]
fn a_job_is_settled_when_all_that_its_result_announces_is_here() {
    let mut bench = Bench::new();
    let settled = |bench: &Bench| bench.staging.is_settled(DEVICE, ID).unwrap();
    assert!(!settled(&bench), "nobody has heard of it");
    bench.keep(&[last_state(JobState::Succeeded, None)]);
    assert!(!settled(&bench), "there is a result somewhere");
    bench.keep(&[result()]);
    assert!(!settled(&bench), "and it announces tokens");
    bench.keep(&tokens());
    assert!(settled(&bench));
    assert!(!bench.staging.is_settled("other", ID).unwrap());
}

#[test]
fn a_part_has_an_end() {
    let mut bench = Bench::new();
    bench.keep(&tokens());
    let first = bench.staging.begin_roll(1).unwrap().unwrap();
    assert!(first.is_full);
    assert_eq!(bench.topics(first).len(), 1);
}

#[test]
fn a_result_shows_which_tokens_are_missing() {
    let mut bench = Bench::new();
    let tokens = tokens();
    bench.keep(&[tokens[0].clone(), tokens[2].clone(), result()]);
    assert_eq!(
        bench.due(START),
        (vec![], vec![]),
        "they may be on their way"
    );
    let (gaps, _) = bench.due(START + GRACE);
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].attempt, gaps[0].from_seq), (1, Some(1)));
    // Another collector asks no more, until it is due again.
    assert_eq!(bench.due(START + GRACE), (vec![], vec![]));
    assert_eq!(bench.due(START + GRACE + GRACE).0.len(), 1);
    assert_eq!((bench.standing().open, bench.standing().reachable), (1, 1));
    bench.keep(&tokens[1..2]);
    assert_eq!(bench.standing(), Standing::default());
}

#[test]
fn a_last_state_shows_that_the_result_is_missing() {
    let mut bench = Bench::new();
    bench.keep(&[last_state(JobState::Succeeded, None)]);
    let (gaps, _) = bench.due(START + GRACE);
    assert_eq!(gaps[0].from_seq, None);
    bench.keep(&[tokens(), vec![result()]].concat());
    assert_eq!(bench.standing().open, 0);
}

#[test]
fn a_job_that_never_had_a_result_is_no_gap() {
    let mut bench = Bench::new();
    let listed = |id: &str, attempt, state, reason: Option<&str>| Listed {
        id: id.to_owned(),
        attempt,
        state,
        reason: reason.map(str::to_owned),
    };
    let jobs = [
        listed("a", 0, JobState::Cancelled, Some("cancelled")),
        listed("b", 3, JobState::Failed, Some("attempts-lost")),
        listed("c", 1, JobState::Running, None),
        listed("d", 1, JobState::Cancelled, Some("cancelled")),
    ];
    bench.staging.listed(DEVICE, &jobs, START).unwrap();
    let (gaps, _) = bench.due(START);
    // Only the board knows whether there is one.
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].id, "d");
    let now = answer_in_vain(&mut bench, Outcome::Sends(1));
    assert_eq!(bench.due(now), (vec![], vec![]));
    assert_eq!(bench.standing(), Standing::default());
}

/// Until the attempt is asked for no more.
fn answer_in_vain(bench: &mut Bench, outcome: Outcome) -> MonoNs {
    let gap = Gap {
        device: DEVICE.to_owned(),
        id: "d".to_owned(),
        attempt: 1,
        from_seq: None,
    };
    let mut now = START;
    for _ in 0..4 {
        bench.staging.answered(&gap, outcome, now).unwrap();
        now = now + Span(GRACE.0 << 7);
    }
    now
}

#[test]
fn a_result_that_its_board_has_no_more_is_lost_whatever_became_of_the_job() {
    for state in [JobState::Failed, JobState::Cancelled, JobState::Succeeded] {
        let mut bench = Bench::new();
        let job = Listed {
            id: "d".to_owned(),
            attempt: 1,
            state,
            reason: Some(state.as_str().to_owned()),
        };
        bench.staging.listed(DEVICE, &[job], START).unwrap();
        let now = answer_in_vain(&mut bench, Outcome::Sends(0));
        let (_, closed) = bench.due(now);
        assert_eq!((closed.len(), bench.standing().lost), (1, 1), "{state:?}");
    }
}

#[test]
fn what_a_board_has_no_more_is_lost_and_found_if_it_comes_all_the_same() {
    let mut bench = Bench::new();
    bench.keep(&[result()]);
    let (gaps, _) = bench.due(START + GRACE);
    let now = START + GRACE;
    bench
        .staging
        .answered(&gaps[0], Outcome::Unknown, now)
        .unwrap();
    let (gaps, closed) = bench.due(now);
    assert!(gaps.is_empty());
    let lost = &closed[0];
    assert_eq!((lost.here, lost.announced), (0, Some(3)));
    assert_eq!((bench.standing().open, bench.standing().lost), (0, 1));
    bench.keep(&tokens());
    assert_eq!(bench.standing().lost, 0);
}

#[test]
fn answers_that_bring_nothing_end_the_asking() {
    let mut bench = Bench::new();
    bench.keep(&[result()]);
    let (mut now, mut asked) = (START, 0);
    let closed = loop {
        now = now + GRACE;
        let (gaps, closed) = bench.due(now);
        for gap in &gaps {
            asked += 1;
            bench.staging.answered(gap, Outcome::Sends(4), now).unwrap();
            // Something comes, once: hope is as at first.
            if asked == 2 {
                bench.keep(&tokens()[..1]);
            }
        }
        if !closed.is_empty() {
            break closed;
        }
        assert!(now < START + Span(100 * GRACE.0), "it never ends");
    };
    assert_eq!((closed[0].here, asked), (1, 6));
}

/// It answers at once how much it is going to send.
#[test]
fn what_a_board_answers_beside_a_job_says_nothing_about_what_it_has() {
    let mut bench = Bench::new();
    bench.keep(&[result()]);
    let mut now = START;
    for _ in 0..20 {
        now = now + Span(100 * GRACE.0);
        let (gaps, closed) = bench.due(now);
        assert_eq!((gaps.len(), closed.len()), (1, 0));
        bench
            .staging
            .answered(&gaps[0], Outcome::Sends(4), now)
            .unwrap();
        bench.staging.bear_with(&[DEVICE.to_owned()]).unwrap();
    }
    // It does not know the job any more: that it has no time is no excuse.
    let (gaps, _) = bench.due(now + Span(100 * GRACE.0));
    bench
        .staging
        .answered(&gaps[0], Outcome::Unknown, now)
        .unwrap();
    bench.staging.bear_with(&[DEVICE.to_owned()]).unwrap();
    assert_eq!(bench.due(now + Span(200 * GRACE.0)).1.len(), 1);
}

#[test]
fn a_board_that_has_no_time_is_asked_as_often_as_it_takes() {
    let mut bench = Bench::new();
    bench.keep(&[result()]);
    let mut now = START + GRACE;
    for _ in 0..50 {
        let (gaps, closed) = bench.due(now);
        assert_eq!((gaps.len(), closed.len()), (1, 0));
        let wait = Span::from_millis(2_000);
        bench
            .staging
            .answered(&gaps[0], Outcome::Later(wait), now)
            .unwrap();
        now = now + wait;
    }
}

#[test]
fn what_cannot_be_read_is_set_aside_within_bounds() {
    let mut bench = Bench::new();
    let bad = (topic("tokens"), vec![b'{'; 100_000]);
    for _ in 0..12 {
        let kept = bench.keep(&vec![bad.clone(); 100]);
        assert_eq!((kept.unreadable, kept.records), (100, 0));
    }
    let (count, why) = bench.staging.quarantined().unwrap();
    assert_eq!(count, 1_200);
    assert!(why.is_some());
    let (rows, bytes): (i64, i64) = bench
        .staging
        .db
        .query_row(
            "SELECT count(*), max(length(payload)) FROM quarantine",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((rows, bytes), (1_000, 4_096));
}

#[test]
fn another_record_of_the_same_name_is_told_apart_from_the_same_record() {
    let mut bench = Bench::new();
    let mut other = testing::result();
    bench.keep(&[result()]);
    other.stamp.boot_id = "another-boot".to_owned();
    let other = (topic("result"), other.to_json());
    let kept = bench.keep(&[result(), other]);
    assert_eq!((kept.records, kept.duplicates, kept.conflicts), (0, 2, 1));
}

#[test]
fn what_an_earlier_run_subscribed_to_is_known_until_it_is_taken_back() {
    let mut bench = Bench::new();
    let filters = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    let first = filters(&["a", "b"]);
    assert!(bench.staging.subscribes("main", &first).unwrap().is_empty());
    // Killed before it took anything back, twice.
    for _ in 0..2 {
        bench = bench.reopen();
        let old = bench.staging.subscribes("main", &filters(&["b", "c"]));
        assert_eq!(old.unwrap(), ["a"]);
    }
    let none = bench.staging.subscribes("other", &filters(&["z"]));
    assert!(none.unwrap().is_empty(), "of another session");
    let last = filters(&["b", "c"]);
    bench.staging.subscribes_only("main", &last).unwrap();
    assert!(bench.staging.subscribes("main", &last).unwrap().is_empty());
}

#[test]
fn a_newer_store_is_left_alone() {
    let bench = Bench::new();
    bench
        .staging
        .db
        .pragma_update(None, "user_version", 9)
        .unwrap();
    let error = Staging::open(bench.folder.path(), "x").unwrap_err();
    assert!(
        matches!(error, StagingError::Newer { found: 9, .. }),
        "{error}"
    );
}

#[test]
fn commits_reach_the_disk() {
    let bench = Bench::new();
    let pragma = |name| -> String {
        let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        let value = bench.staging.db.pragma_query_value(None, name, value);
        format!("{:?}", value.unwrap())
    };
    assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
    assert_eq!(pragma("synchronous"), "Integer(2)");
}

/// What happens to a collector.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// These of the messages arrive.
    Arrive(usize, usize),
    Begin,
    Write,
    Finish,
    Killed,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..6_usize, 1..4_usize).prop_map(|(from, many)| Happening::Arrive(from, many)),
        2 => Just(Happening::Begin),
        2 => Just(Happening::Write),
        2 => Just(Happening::Finish),
        1 => Just(Happening::Killed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// The dataset, a map from part to messages, has each message once in the end.
    #[test]
    fn each_message_is_in_one_part_whatever_happens(
        happenings in proptest::collection::vec(happening(), 1..40),
    ) {
        let mut messages = tokens();
        messages.push(result());
        messages.extend([rail(1), rail(2)]);
        let mut bench = Bench::new();
        let mut dataset = std::collections::BTreeMap::new();
        let mut arrived = std::collections::BTreeSet::new();
        let mut begun: Option<Roll> = None;
        for happening in happenings {
            match happening {
                Happening::Arrive(from, many) => {
                    let some: Vec<_> = messages.iter().skip(from).take(many).cloned().collect();
                    arrived.extend(some.iter().map(|(_, payload)| payload.clone()));
                    bench.keep(&some);
                }
                Happening::Begin if begun.is_none() => {
                    begun = bench.staging.begin_roll(3_000).unwrap();
                }
                Happening::Write => {
                    if let Some(roll) = begun {
                        write(&bench, roll, &mut dataset);
                    }
                }
                Happening::Finish => {
                    if let Some(roll) = begun.take() {
                        write(&bench, roll, &mut dataset);
                        bench.staging.finish_roll(roll).unwrap();
                    }
                }
                Happening::Killed => {
                    bench = bench.reopen();
                    begun = None;
                    for roll in bench.staging.unfinished_rolls().unwrap() {
                        write(&bench, roll, &mut dataset);
                        bench.staging.finish_roll(roll).unwrap();
                    }
                }
                Happening::Begin => {}
            }
        }
        if let Some(roll) = begun {
            write(&bench, roll, &mut dataset);
            bench.staging.finish_roll(roll).unwrap();
        }
        while let Some(roll) = bench.staging.begin_roll(3_000).unwrap() {
            write(&bench, roll, &mut dataset);
            bench.staging.finish_roll(roll).unwrap();
        }
        let mut written: Vec<Vec<u8>> = dataset.into_values().flatten().collect();
        written.sort();
        prop_assert_eq!(written, arrived.into_iter().collect::<Vec<_>>());
    }
}

fn write(bench: &Bench, roll: Roll, dataset: &mut std::collections::BTreeMap<i64, Vec<Vec<u8>>>) {
    let mut part = Vec::new();
    bench
        .staging
        .each_of(roll, |_, _, payload| {
            part.push(payload.to_owned());
            ControlFlow::Continue(())
        })
        .unwrap();
    dataset.insert(roll.number, part);
}
