//! Messages that nobody should send: valid commands, damaged in one or two ways each. What a
//! seed makes is always the same.

use super::rig::{MODEL, job};
use fastrand::Rng;
use serde_json::{Value, json};

/// One message to a topic below `cmd/`.
pub struct Attack {
    /// How it was made.
    pub damage: &'static str,
    pub command: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub response: Response,
    pub correlation: Option<Vec<u8>>,
    /// Whether the broker may hand it over at all.
    pub fits: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    None,
    /// A topic of its own.
    Allowed(String),
    Forbidden(String),
}

/// What path tricks would make, anywhere on this machine.
pub const INTRUDER: &str = "jouled-intruder";

/// Larger packets never reach the board.
const PACKET_BYTES: usize = 256 * 1024;
/// For topics and properties.
const ENVELOPE_BYTES: usize = 600;
const LONGEST_CORRELATION: usize = 65_535;

const COMMANDS: [&str; 6] = ["submit", "cancel", "jobs", "queue", "replay", "models"];
const UNKNOWN: [&str; 9] = [
    "reboot",
    "SUBMIT",
    "submit ",
    "submit%2f..",
    "..",
    "ｓubmit",
    "$SYS",
    "{}",
    "\u{202e}timbus",
];
const FORBIDDEN: [&str; 8] = [
    "answers/+/hostile",
    "answers/#",
    "jouled/board/status",
    "jouled/board/jobs/victim/result",
    "jouled/other/cmd/submit",
    "jouled",
    "homeassistant/device/x/config",
    "$SYS/broker",
];
/// Pointers into a job; the name fields first.
const NAMES: [&str; 8] = [
    "/model",
    "/id",
    "/runtime",
    "/data",
    "/model_sha256",
    "/power_mode",
    "/governor",
    "/signature",
];
const FIELDS: [&str; 32] = [
    "/v",
    "/id",
    "/kind",
    "/model",
    "/prompt",
    "/messages",
    "/n_predict",
    "/ignore_eos",
    "/n_prompt",
    "/n_gen",
    "/duration_s",
    "/repetitions",
    "/warmup",
    "/params",
    "/params/threads",
    "/params/n_ctx",
    "/params/n_batch",
    "/params/flash_attn",
    "/params/kv_type",
    "/params/temperature",
    "/idle",
    "/idle/before_s",
    "/timeout_s",
    "/deadline_unix_s",
    "/priority",
    "/max_freq_khz",
    "/max_attempts",
    "/publish",
    "/publish/tokens",
    "/tags",
    "/limit",
    "/mode",
];
const NUMBERS: [&str; 16] = [
    "-1",
    "-0",
    "1.5",
    "1e2",
    "1e400",
    "-1e400",
    "1e-400",
    "NaN",
    "Infinity",
    "0x10",
    "01",
    "+1",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999999999999999",
    "1e",
];

pub struct Attacks {
    rng: Rng,
    number: u64,
    /// Earlier ones, to be sent again.
    sent: Vec<(String, Vec<u8>)>,
}

impl Attacks {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            number: 0,
            sent: Vec::new(),
        }
    }

    pub fn next(&mut self) -> Attack {
        self.number += 1;
        let (command, payload, damage) = match self.rng.u32(..100) {
            0..8 if !self.sent.is_empty() => {
                let (command, payload) = self.rng.choice(&self.sent).expect("not empty").clone();
                (command, payload, "sent again")
            }
            8..13 => {
                let name = self.rng.choice(UNKNOWN).expect("not empty").to_owned();
                (
                    name,
                    self.base("submit").to_string().into(),
                    "unknown command",
                )
            }
            13..18 => {
                let (command, other) = (self.command(), self.command());
                (
                    command.to_owned(),
                    self.base(other).to_string().into(),
                    "another's payload",
                )
            }
            _ => {
                let command = self.command();
                let base = self.base(command);
                let (payload, damage) = self.damaged(base);
                (command.to_owned(), payload, damage)
            }
        };
        if self.sent.len() < 64 && payload.len() < 4_096 {
            self.sent.push((command.clone(), payload.clone()));
        }
        let response = match self.rng.u32(..100) {
            0..20 => Response::None,
            20..30 => Response::Forbidden(self.forbidden()),
            _ => Response::Allowed(format!("answers/hostile/{}", self.number)),
        };
        let correlation = self.correlation(&response);
        let mut attack = Attack {
            damage,
            command,
            payload,
            retained: self.rng.u32(..100) < 3,
            response,
            correlation,
            fits: true,
        };
        match self.rng.u32(..200) {
            0 => self.grow(&mut attack, true),
            1 => self.grow(&mut attack, false),
            _ => {}
        }
        attack
    }

    fn command(&mut self) -> &'static str {
        match self.rng.u32(..10) {
            0..6 => "submit",
            _ => self.rng.choice(COMMANDS).expect("not empty"),
        }
    }

    fn forbidden(&mut self) -> String {
        match self.rng.u32(..8) {
            0 => format!("answers/{}", "x".repeat(300)),
            _ => self.rng.choice(FORBIDDEN).expect("not empty").to_owned(),
        }
    }

    fn correlation(&mut self, response: &Response) -> Option<Vec<u8>> {
        if let Response::Forbidden(_) = response {
            return Some(format!("forbidden-{}", self.number).into());
        }
        match self.rng.u32(..40) {
            0..8 => None,
            8..12 => Some(Vec::new()),
            12 => Some(vec![0xff; LONGEST_CORRELATION]),
            13..20 => Some(
                std::iter::repeat_with(|| self.rng.u8(..))
                    .take(64)
                    .collect(),
            ),
            _ => Some(self.number.to_string().into()),
        }
    }

    /// Just below what the broker hands over, or just above.
    fn grow(&mut self, attack: &mut Attack, fits: bool) {
        let correlation = attack.correlation.as_ref().map_or(0, Vec::len);
        let envelope = ENVELOPE_BYTES + correlation;
        let bytes = match fits {
            true => PACKET_BYTES - envelope,
            false => PACKET_BYTES + 1,
        };
        attack.damage = if fits {
            "nearly too large"
        } else {
            "too large"
        };
        attack.payload.resize(bytes, b' ');
        attack.fits = fits;
    }

    /// A valid message for a command.
    fn base(&mut self, command: &str) -> Value {
        let id = format!("hostile-{}", self.number);
        match command {
            "submit" => match self.rng.u32(..3) {
                0 => job(&id, json!({})),
                1 => {
                    let turns = json!([{"role": "user", "content": "Why?"}]);
                    job(
                        &id,
                        json!({"prompt": null, "messages": turns, "tags": {"a": "b"}}),
                    )
                }
                _ => json!({"id": id, "kind": "bench", "model": MODEL, "n_prompt": 8, "n_gen": 8,
                    "params": {"threads": 1}, "idle": {"before_s": 0, "after_s": 0}}),
            },
            "jobs" => json!({"limit": 3}),
            "queue" => {
                let mode = self.rng.choice(&["open", "paused", "draining"]);
                json!({"mode": mode.expect("not empty")})
            }
            "models" => json!({"fetch": MODEL}),
            "replay" => json!({"id": "good-1", "attempt": 1, "from_seq": 0}),
            _ => json!({"id": id}),
        }
    }

    fn damaged(&mut self, mut base: Value) -> (Vec<u8>, &'static str) {
        let text = base.to_string();
        match self.rng.u32(..14) {
            0 => (self.flipped(text.into()), "bits flipped"),
            1 => (
                text.as_bytes()[..self.rng.usize(..text.len())].to_vec(),
                "cut short",
            ),
            2 => {
                let field = *self
                    .rng
                    .choice(&["id", "kind", "model", "limit"])
                    .expect("some");
                let twice = format!("{{\"{field}\":\"x\",\"{field}\":\"y\",{}", &text[1..]);
                (twice.into(), "a key twice")
            }
            3 | 4 => {
                let value = self.other_value();
                self.set(&mut base, value);
                (base.to_string().into(), "another type")
            }
            5 | 6 => {
                let number = *self.rng.choice(&NUMBERS).expect("some");
                (self.raw(base, number), "a strange number")
            }
            7 => {
                let depths = [
                    ("[", 127),
                    ("[", 128),
                    ("[", 129),
                    ("[", 100_000),
                    ("{\"a\":", 128),
                    ("{\"a\":", 20_000),
                    ("[{\"\":", 20_000),
                ];
                let (open, depth) = *self.rng.choice(&depths).expect("some");
                (self.raw(base, &open.repeat(depth)), "deeply nested")
            }
            8 => {
                let long = "é\u{202e}x".repeat(20_000);
                self.set(&mut base, json!(long));
                (base.to_string().into(), "a long string")
            }
            9 => (self.with_bytes(text.into()), "foreign bytes"),
            10 => {
                let name = *self
                    .rng
                    .choice(&["__proto__", "exec", "", "\0", "id ", "ıd"])
                    .expect("some");
                base[name] = self.other_value();
                (base.to_string().into(), "a foreign field")
            }
            _ => {
                let field = *self.rng.choice(&NAMES).expect("some");
                let name = self.path_trick();
                put(&mut base, field, json!(name));
                (base.to_string().into(), "a path for a name")
            }
        }
    }

    fn flipped(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.rng.usize(1..4) {
            let at = self.rng.usize(..bytes.len());
            bytes[at] ^= 1 << self.rng.u32(..8);
        }
        bytes
    }

    fn with_bytes(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        const STRANGE: [&[u8]; 6] = [
            b"\0",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\xc0\xae\xc0\xae/",
            b"\xed\xa0\x80",
            b"\x1b[2J",
        ];
        let strange = *self.rng.choice(&STRANGE).expect("some");
        let at = match self.rng.bool() {
            true => 0,
            false => self.rng.usize(..bytes.len()),
        };
        bytes.splice(at..at, strange.iter().copied());
        bytes
    }

    fn other_value(&mut self) -> Value {
        let values = [
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!("x"),
            json!(""),
            json!(-1),
            json!(0),
            json!(0.5),
            json!(u64::MAX),
            json!(["a"]),
            json!({"a": {"b": []}}),
        ];
        self.rng.choice(&values).expect("some").clone()
    }

    fn set(&mut self, base: &mut Value, value: Value) {
        let field = *self.rng.choice(&FIELDS).expect("some");
        put(base, field, value);
    }

    /// With a value that serde_json would not write.
    fn raw(&mut self, mut base: Value, raw: &str) -> Vec<u8> {
        self.set(&mut base, json!("@raw@"));
        base.to_string().replace("\"@raw@\"", raw).into()
    }

    fn path_trick(&mut self) -> String {
        let up = *self
            .rng
            .choice(&[
                "../",
                "..\\",
                "%2e%2e%2f",
                "．．／",
                "..%c0%af",
                "..\u{2215}",
                "./../",
                "/",
                "//",
                "file:///",
                "a/../../",
                "~/",
                "\0/",
                "..\0/",
                "con:",
                "-",
            ])
            .expect("some");
        let ends = [
            "secret.gguf",
            "outside/deep/secret.gguf",
            "jouled.toml",
            "etc/passwd",
            "proc/self/mem",
            INTRUDER,
            "link.gguf",
            "tiny.gguf\0.txt",
            "",
        ];
        let end = *self.rng.choice(&ends).expect("some");
        format!("{}{end}", up.repeat(self.rng.usize(1..4)))
    }
}

fn put(base: &mut Value, pointer: &str, value: Value) {
    let (block, name) = pointer.rsplit_once('/').expect("a pointer");
    if let Some(block) = block.strip_prefix('/') {
        if !base[block].is_object() {
            base[block] = json!({});
        }
        base[block][name] = value;
    } else {
        base[name] = value;
    }
}
