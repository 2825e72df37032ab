use super::*;
use crate::lab::collect::staging::Parsed;
use crate::lab::dataset::Dataset;
use crate::lab::testing::{self, DEVICE, ID};
use rusqlite::Connection;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

struct Bench {
    folder: tempfile::TempDir,
    roller: Roller,
    _words: UnboundedReceiver<Word>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::on(folder, "jouled")
    }

    fn on(folder: tempfile::TempDir, prefix: &str) -> Self {
        let (words, heard) = unbounded_channel();
        let roller = Roller {
            staging: Staging::open(folder.path(), "5eed0001").unwrap(),
            root: folder.path().to_owned(),
            format: Format::Sqlite,
            prefix: prefix.to_owned(),
            most_bytes: u64::MAX,
            most_in_memory: MOST_IN_MEMORY,
            has_let_go: false,
            words,
        };
        Self {
            folder,
            roller,
            _words: heard,
        }
    }

    fn stage(&mut self, kind: &str, payload: &[u8]) {
        let topic = format!("jouled/{DEVICE}/jobs/{ID}/{kind}");
        let record = Record::parse("jouled", &topic, payload);
        let message = Parsed {
            topic: &topic,
            payload,
            record: record.transpose().unwrap(),
        };
        let kept = self
            .roller
            .staging
            .keep(&[message], MonoNs(1), Span::from_millis(1));
        assert_eq!(kept.unwrap().records, 1);
    }

    /// Another version had another idea of what is a record.
    fn stage_as_is(&self, payload: &str) {
        let path = self.folder.path().join(FOLDER).join("staging.db");
        let topic = format!("jouled/{DEVICE}/jobs/{ID}/result");
        Connection::open(path)
            .unwrap()
            .execute(
                "INSERT INTO staged (topic, payload) VALUES (?1, ?2)",
                (topic, payload.as_bytes()),
            )
            .unwrap();
    }

    fn roll(&mut self) -> Rolled {
        let mut rolled = Rolled::default();
        self.roller.roll(RollOrder::Now, &mut rolled).unwrap();
        rolled
    }

    fn staged(&self) -> u64 {
        self.roller.staging.staged().unwrap().0
    }

    fn results(&self) -> usize {
        let dataset = Dataset::open(&[self.folder.path().to_owned()]).unwrap();
        dataset.results(|why| panic!("{why}")).unwrap().len()
    }
}

#[test]
fn what_this_version_cannot_read_stays_and_is_tried_again_by_the_next_run() {
    let mut bench = Bench::new();
    let newer = "x".repeat(100_000);
    bench.stage_as_is(&newer);
    bench.stage("result", &testing::result().to_json());
    let rolled = bench.roll();
    assert_eq!((rolled.records, bench.results(), bench.staged()), (1, 1, 1));
    let (count, why) = rolled.held.unwrap();
    assert!(count == 1 && why.contains("/result: "), "{why}");
    // Once a run is enough, and it is whole.
    assert_eq!(bench.roll(), Rolled::default());
    let mut next = Bench::on(bench.folder, "jouled");
    assert!(next.roll().held.is_some());
    assert_eq!(next.roller.staging.staged().unwrap(), (1, 100_000));
}

#[test]
fn records_of_another_prefix_are_not_taken_away() {
    let mut bench = Bench::new();
    bench.stage("result", &testing::result().to_json());
    let mut other = Bench::on(bench.folder, "lab");
    let rolled = other.roll();
    assert_eq!((rolled.records, other.staged()), (0, 1));
    let mut right = Bench::on(other.folder, "jouled");
    assert_eq!((right.roll().records, right.staged()), (1, 0));
}

#[test]
fn a_part_ends_where_the_memory_for_its_rows_does() {
    let mut bench = Bench::new();
    bench.roller.most_in_memory = 1;
    for (mut tokens, seq) in testing::tokens(DEVICE, ID).into_iter().zip(0..) {
        tokens.body.seq = seq;
        bench.stage("tokens", &tokens.to_json());
    }
    let rolled = bench.roll();
    assert_eq!((rolled.parts, rolled.records, bench.staged()), (3, 3, 0));
}

#[test]
fn a_roll_that_was_ended_is_the_same_when_it_is_written_again() {
    let mut bench = Bench::new();
    for (mut tokens, seq) in testing::tokens(DEVICE, ID).into_iter().zip(0..) {
        tokens.body.seq = seq;
        bench.stage("tokens", &tokens.to_json());
    }
    bench.roller.most_in_memory = 1;
    let roll = bench.roller.staging.begin_roll(u64::MAX).unwrap().unwrap();
    let (roll, rows) = bench.roller.read(roll, &mut Rolled::default()).unwrap();
    assert_eq!(rows.records(), 1);
    // Killed here; the next has more memory.
    let mut next = Bench::on(bench.folder, "jouled");
    let unfinished = next.roller.staging.unfinished_rolls().unwrap();
    assert_eq!((unfinished.len(), unfinished[0].number), (1, roll.number));
    let (_, rows) = next
        .roller
        .read(unfinished[0], &mut Rolled::default())
        .unwrap();
    assert_eq!(rows.records(), 1);
    assert_eq!((next.roll().parts, next.staged()), (2, 0));
}
