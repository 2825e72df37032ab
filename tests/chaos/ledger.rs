//! What the lab has seen of each job, and whether it can all be true at once.

use serde_json::Value;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Fields that say when a record was made, not what it says.
const STAMP: [&str; 4] = ["time", "mono_ns", "boot_id", "clock_sync"];

/// A state as it counts: without phase and stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub state: String,
    pub attempt: u64,
    pub reason: Option<String>,
}

impl State {
    fn read(record: &Value) -> Self {
        Self {
            state: text(record, "state"),
            attempt: number(record, "attempt"),
            reason: record["reason"].as_str().map(str::to_owned),
        }
    }

    pub fn is_final(&self) -> bool {
        !matches!(self.state.as_str(), "queued" | "running")
    }
}

#[derive(Debug, Default)]
pub struct OfJob {
    /// By revision.
    pub states: BTreeMap<u64, State>,
    /// By attempt.
    pub results: BTreeMap<u64, Value>,
    /// By attempt and `seq`.
    pub tokens: BTreeMap<(u64, u64), Value>,
    /// By attempt, rail and `seq`.
    traces: BTreeMap<(u64, String, u64), Value>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub jobs: BTreeMap<String, OfJob>,
    pub lost_events: u64,
}

impl Ledger {
    /// Takes in a record of a job. Whether it came before, with the same content; panics
    /// where it contradicts an earlier one.
    pub fn note(&mut self, id: &str, kind: &str, text: &str) -> bool {
        let mut record: Value = serde_json::from_str(text).unwrap();
        assert_eq!(record["id"], id, "{text}");
        let job = self.jobs.entry(id.to_owned()).or_default();
        let attempt = number(&record, "attempt");
        match kind {
            "state" => {
                let state = State::read(&record);
                let rev = number(&record, "rev");
                let known = insert(&mut job.states, rev, state, id);
                job.check_states(id);
                known
            }
            "result" => {
                let known = insert(&mut job.results, attempt, record, id);
                assert_eq!(job.results.len(), 1, "{id} has results of two attempts");
                known
            }
            "tokens" => {
                let key = (attempt, number(&record, "seq"));
                // Sent live, a batch is stamped as it leaves; its content is the same.
                unstamp(&mut record);
                insert(&mut job.tokens, key, record, id)
            }
            "trace" => {
                let rail = record["rail"].as_str().unwrap().to_owned();
                let key = (attempt, rail, number(&record, "seq"));
                insert(&mut job.traces, key, record, id)
            }
            other => panic!("{id}: what is {other}?"),
        }
    }

    /// The job's final state, once it was seen.
    pub fn ended(&self, id: &str) -> Option<&State> {
        let (_, newest) = self.jobs.get(id)?.states.last_key_value()?;
        newest.is_final().then_some(newest)
    }
}

impl OfJob {
    /// A job has one final state, and none after it; attempts only go up.
    fn check_states(&self, id: &str) {
        let finals = self.states.values().filter(|state| state.is_final());
        assert!(finals.count() <= 1, "{id}: {:#?}", self.states);
        let mut earlier = self.states.values().rev().skip(1);
        assert!(
            earlier.all(|state| !state.is_final()),
            "{id} went on after its end: {:#?}",
            self.states
        );
        let attempts = self.states.values().map(|state| state.attempt);
        assert!(attempts.is_sorted(), "{id}: {:#?}", self.states);
    }

    /// Whether everything that the result announces was seen.
    pub fn is_complete(&self) -> bool {
        let Some((attempt, result)) = self.results.last_key_value() else {
            return false;
        };
        let announced = number(&result["records"], "tokens");
        let traces = self.traces.keys().filter(|(of, ..)| of == attempt);
        (0..announced).all(|seq| self.tokens.contains_key(&(*attempt, seq)))
            && traces.count() as u64 == number(&result["records"], "trace")
    }

    /// Tokens of another attempt than the one with the result: live ones of a lost attempt.
    pub fn attempts_with_tokens(&self) -> BTreeSet<u64> {
        self.tokens.keys().map(|(attempt, _)| *attempt).collect()
    }
}

/// Whether it was known before. Panics where it was known otherwise.
fn insert<K: Ord + std::fmt::Debug + Clone, V: PartialEq + std::fmt::Debug>(
    into: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    id: &str,
) -> bool {
    match into.entry(key.clone()) {
        Entry::Vacant(free) => {
            free.insert(value);
            false
        }
        Entry::Occupied(known) => {
            assert_eq!(*known.get(), value, "{id}: {key:?} came with other content");
            true
        }
    }
}

fn unstamp(record: &mut Value) {
    let record = record.as_object_mut().unwrap();
    for field in STAMP {
        record.remove(field);
    }
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap().to_owned()
}

fn number(record: &Value, field: &str) -> u64 {
    record[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field} in {record}"))
}
