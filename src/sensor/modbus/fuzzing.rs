//! What fuzz/ can't reach from outside: a user's meter map, and what meters answer.

use super::decode::{power_step, reading};
use super::map::{Block, MOST_REGISTERS, MeterMap};
use super::meters::{self, Meter};
use super::register::{Kind, WordOrder};
use super::sunspec;
use std::sync::LazyLock;

/// `text` as a map in the configuration: one that is accepted is asked for in one request,
/// comes back from its own text, and reads any answer.
pub fn map(text: &str) {
    let Ok(map) = toml::from_str::<MeterMap>(text) else {
        return;
    };
    if map.check().is_err() {
        return;
    }
    let written = toml::to_string(&map).expect("a map can be written");
    let again: MeterMap = toml::from_str(&written).expect("what was accepted");
    assert_eq!(again, map);
    let block = map.block().expect("it was checked");
    assert!((1..=MOST_REGISTERS).contains(&block.count));
    for word in [0, 1, 0x7fc0, 0x8000, u16::MAX] {
        answer_to(&map, block, &vec![word; usize::from(block.count)]);
    }
    assert!(map.shifted(0).is_some());
}

const METERS: [&str; 17] = [
    "sdm120",
    "sdm230",
    "sdm630",
    "pzem-004t",
    "pzem-017",
    "em112",
    "em340",
    "abb-b21",
    "iem3155",
    "finder-7m24",
    "janitza-b23",
    "shelly-pro-3em",
    "riden-rd60xx",
    "sunspec",
    "sunspec",
    "sunspec",
    "sunspec",
];
const KINDS: [Kind; 7] = [
    Kind::U16,
    Kind::I16,
    Kind::U32,
    Kind::I32,
    Kind::U64,
    Kind::I64,
    Kind::F32,
];

static KNOWN: LazyLock<Vec<Meter>> = LazyLock::new(|| {
    let known = |name: &&str| meters::find(name).expect("a known meter");
    METERS.iter().map(known).collect()
});

/// `bytes` as a meter that answers: which one, what differs in it, then its registers.
pub fn answer(bytes: &[u8]) {
    let [meter, change, kind, registers @ ..] = bytes else {
        return;
    };
    let words: Vec<u16> = registers
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))
        .collect();
    let mut map = match &KNOWN[usize::from(*meter) % METERS.len()] {
        Meter::Map(map) => map.as_ref().clone(),
        Meter::SunSpec { integers, floats } => {
            // The answers are the device's registers, from the first base on and again.
            let device = |block: Block| {
                let first = usize::from(block.address % 10_000);
                let all = first..first + usize::from(block.count);
                let words: Option<Vec<u16>> = all.map(|at| words.get(at).copied()).collect();
                Ok::<_, ()>(words)
            };
            match sunspec::discover(integers, floats, device) {
                Ok(Ok(map)) => map,
                Ok(Err(why)) => return assert!(!why.is_empty()),
                Err(()) => return,
            }
        }
    };
    let Ok(block) = map.block() else {
        return;
    };
    if change & 1 > 0 {
        map.power.kind = KINDS[usize::from(*kind) % KINDS.len()];
    }
    if change & 2 > 0 {
        map.words = WordOrder::LowFirst;
    }
    if change & 4 > 0 {
        map.power.exponent = Some(block.address.saturating_add(u16::from(*kind)));
    }
    if change & 8 > 0 {
        map.power.nan.push(i64::from(*kind as i8));
    }
    answer_to(&map, block, &words);
}

/// Every number is one that a board could draw.
fn answer_to(map: &MeterMap, block: Block, words: &[u16]) {
    let told = reading(map, block, words);
    match told.power {
        Ok(power) => assert!(power.0.abs() <= 1e6),
        Err(absence) => assert!(!absence.to_string().is_empty()),
    }
    assert!(told.voltage.is_none_or(|voltage| voltage.0.abs() <= 1e5));
    assert!(told.current.is_none_or(|current| current.0.abs() <= 1e5));
    let step = power_step(map, block, words);
    assert!(step.is_none_or(|step| step.0.is_finite() && step.0 > 0.0));
}
