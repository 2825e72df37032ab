//! Any text as a Modbus meter's map in the configuration.

#![no_main]

use jouled::sensor::modbus::fuzzing::map;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| map(text));
