//! Any registers as the answer of each known meter, and of others like it.

#![no_main]

use jouled::sensor::modbus::fuzzing::answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| answer(bytes));
