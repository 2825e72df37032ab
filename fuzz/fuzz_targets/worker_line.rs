//! Any bytes as a line of the worker protocol, in either direction.

#![no_main]

use jouled::runtime::protocol::{Message, Request};
use libfuzzer_sys::fuzz_target;
use serde_json::{from_slice, to_vec};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = from_slice::<Message>(bytes) {
        let written = to_vec(&message).expect("a message can be written");
        from_slice::<Message>(&written).expect("what was accepted");
    }
    if let Ok(request) = from_slice::<Request>(bytes) {
        let written = to_vec(&request).expect("a request can be written");
        from_slice::<Request>(&written).expect("what was accepted");
    }
});
