//! Every bound of a job, each passed by one: a refusal that names the field, and nothing
//! else. A job at the bound is taken.

use super::*;
use serde_json::{Value, json};

fn base(kind: &str) -> Value {
    match kind {
        "bench" => json!({"id": "a", "kind": "bench", "model": "m.gguf"}),
        kind => json!({"id": "a", "kind": kind, "model": "m.gguf", "prompt": "Why?"}),
    }
}

/// Sets a field by its path; an empty path is the whole job.
fn with(kind: &str, path: &str, value: Value) -> Value {
    let mut job = base(kind);
    let mut place = &mut job;
    for part in path.split('.') {
        place = &mut place[part];
    }
    *place = value;
    job
}

fn parse(text: &str) -> Result<Job, SpecError> {
    Job::parse(text.as_bytes(), &Limits::default())
}

#[test]
fn each_bound_takes_what_is_at_it_and_refuses_what_is_beyond() {
    let long = |n| json!("p".repeat(n));
    let tags = |n: usize| {
        let tags = (0..n).map(|n| (n.to_string(), json!("x")));
        Value::Object(tags.collect())
    };
    #[rustfmt::skip]
    let bounds: Vec<(&str, &str, Vec<Value>, Vec<Value>)> = vec![
        ("generate", "id", vec![long(64)], vec![long(65), json!(""), json!("a/b"), json!("a\u{0}"), json!("é"), json!(7)]),
        ("generate", "model", vec![json!("m")], vec![json!(".."), json!("a/b"), json!("a\\b"), json!(""), json!("a\u{202e}b")]),
        ("generate", "prompt", vec![long(64 * 1024)], vec![long(64 * 1024 + 1), json!(""), json!(["x"])]),
        ("generate", "n_predict", vec![json!(1), json!(2048)], vec![json!(0), json!(32_769), json!(-1), json!(1.5), json!(4_294_967_296_u64), json!(1e300)]),
        ("bench", "n_prompt", vec![json!(0), json!(2048)], vec![json!(32_769)]),
        ("bench", "n_gen", vec![json!(0), json!(2048)], vec![json!(32_769)]),
        ("bench", "n_depth", vec![json!(1536)], vec![json!(32_769)]),
        ("generate", "repetitions", vec![json!(1), json!(40)], vec![json!(0), json!(41)]),
        ("generate", "warmup", vec![json!(0), json!(10)], vec![json!(11)]),
        ("generate", "timeout_s", vec![json!(1), json!(86_400)], vec![json!(0), json!(86_401), json!("1h")]),
        ("generate", "max_attempts", vec![json!(1), json!(10)], vec![json!(0), json!(11)]),
        ("generate", "priority", vec![json!(i32::MIN), json!(i32::MAX)], vec![json!(2_147_483_648_i64), json!(0.5)]),
        // Whether it has passed is asked when the job arrives.
        ("generate", "deadline_unix_s", vec![json!(null), json!(i64::MAX)], vec![json!(u64::MAX), json!("now"), json!(1.5)]),
        ("generate", "idle.before_s", vec![json!(0), json!(600)], vec![json!(-0.001), json!(600.001), json!(1e308)]),
        ("generate", "idle.after_s", vec![json!(0), json!(600)], vec![json!(-0.001), json!(600.001)]),
        ("generate", "params.threads", vec![json!(null), json!(256)], vec![json!(0), json!(257)]),
        ("generate", "params.n_ctx", vec![json!(512), json!(32_768)], vec![json!(15), json!(32_769)]),
        ("generate", "params.n_batch", vec![json!(1), json!(2048)], vec![json!(0), json!(4097)]),
        ("generate", "params.gpu_layers", vec![json!(10_000)], vec![json!(10_001)]),
        ("generate", "params.seed", vec![json!(u32::MAX)], vec![json!(-1)]),
        ("generate", "params.temperature", vec![json!(0), json!(10)], vec![json!(-0.1), json!(10.1)]),
        ("generate", "publish.tokens_every_ms", vec![json!(0), json!(60_000)], vec![json!(60_001)]),
        ("generate", "model_sha256", vec![json!(null), json!("0".repeat(64))], vec![json!("0".repeat(63)), json!("g".repeat(64))]),
        ("generate", "tags", vec![tags(32), json!({"k".repeat(64): "v".repeat(256)})], vec![tags(33), json!({"k".repeat(65): "v"}), json!({"k": "v".repeat(257)}), json!([])]),
        ("generate", "v", vec![json!(1)], vec![json!(0), json!(2)]),
    ];
    for (kind, path, taken, refused) in bounds {
        for value in taken {
            // A batch may not exceed its context.
            let mut job = with(kind, path, value.clone());
            if path == "params.n_ctx" {
                job["params"]["n_batch"] = json!(16);
            }
            let parsed = parse(&job.to_string());
            assert!(parsed.is_ok(), "{path} = {value}: {parsed:?}");
        }
        for value in refused {
            let job = with(kind, path, value.clone());
            let error = parse(&job.to_string()).expect_err(path);
            let field = error.field.unwrap_or_default();
            // Inside an object, serde's path goes further.
            assert!(field.starts_with(path), "{path} = {value}: {field}");
            assert!(error.message.len() < 1_000, "{}", error.message);
        }
    }
}

#[test]
fn json_that_is_odd_in_itself_is_refused() {
    let job = base("generate").to_string();
    let inside = job.trim_start_matches('{');
    let deep = |depth| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"tags":{open}{close},{inside}"#)
    };
    for (what, text) in [
        ("a key twice", format!(r#"{{"id":"b",{inside}"#)),
        (
            "a nested key twice",
            format!(r#"{{"idle":{{"before_s":1,"before_s":2}},{inside}"#),
        ),
        (
            "a tag twice",
            format!(r#"{{"tags":{{"a":"1","a":"2"}},{inside}"#),
        ),
        ("deep", deep(100)),
        ("too deep for a stack", deep(60_000)),
        ("NaN", format!(r#"{{"idle":{{"before_s":NaN}},{inside}"#)),
        (
            "infinite",
            format!(r#"{{"idle":{{"before_s":1e999}},{inside}"#),
        ),
        (
            "many digits",
            format!(r#"{{"n_predict":{},{inside}"#, "9".repeat(5_000)),
        ),
        (
            "half a surrogate",
            format!(r#"{{"runtime":"\ud800",{inside}"#),
        ),
        ("text after it", format!("{job} x")),
        ("two jobs", format!("{job}{job}")),
        ("half of it", job[..job.len() / 2].to_owned()),
        ("nothing", String::new()),
        ("null", "null".to_owned()),
        ("a byte order mark", format!("\u{feff}{job}")),
    ] {
        let error = parse(&text).expect_err(what);
        assert!(error.message.len() < 1_000, "{what}: {}", error.message);
    }
    let not_utf8 = job.replace("Why?", "Wh\u{1}").replace('\u{1}', "y");
    let mut bytes = not_utf8.into_bytes();
    let at = bytes.len() - 4;
    bytes[at] = 0xff;
    assert!(Job::parse(&bytes, &Limits::default()).is_err());
}
