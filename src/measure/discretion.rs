//! The reason of a failed attempt goes into the log and onto topics, and a worker's last words
//! are part of it. They may repeat the prompt: what of the job's own text is in them is taken
//! out, unless the job asks for text (`publish.text`), and always the folder of the model.

mod spelling;

use crate::workload::{Job, Prompt};
use spelling::{READINGS, Spelt, read};
use std::collections::HashMap;
use std::path::Path;

/// A run of this many bytes in common is no accident, however it is spelt; a shorter text
/// counts as a whole.
const RUN_BYTES: usize = 12;
const WITHHELD: &str = "[text of the job]";
/// How long a reason may be, so that the smallest record holds it, also with every byte of it
/// escaped.
const HEAD_BYTES: usize = 512;
const TAIL_BYTES: usize = 2_048;

/// `reason` as it may be told: `model` is where the model lies, which is nobody's business.
pub fn told(job: &Job, model: &Path, reason: &str) -> String {
    let reason = without_folder(model, reason);
    let texts: Vec<&str> = match job.prompt() {
        _ if job.publish.text => Vec::new(),
        Some(Prompt::Text(text)) => vec![text],
        Some(Prompt::Messages(turns)) => turns.iter().map(|turn| turn.content.as_str()).collect(),
        None => Vec::new(),
    };
    // A text that is cut is not recognised at the cut.
    shortened(&withhold(&texts, &reason))
}

/// Engines name the file that they can't load by its whole path.
fn without_folder(model: &Path, reason: &str) -> String {
    match model.parent().and_then(Path::to_str) {
        Some(folder) if folder.len() > 1 => reason.replace(&format!("{folder}/"), ""),
        _ => reason.to_owned(),
    }
}

/// Begin and end, where it is long: what went wrong first, and what was said last.
fn shortened(reason: &str) -> String {
    if reason.len() <= HEAD_BYTES + TAIL_BYTES {
        return reason.to_owned();
    }
    let head = &reason[..boundary(reason, HEAD_BYTES)];
    let tail = &reason[boundary(reason, reason.len() - TAIL_BYTES)..];
    format!("{head} […] {tail}")
}

fn withhold(texts: &[&str], reason: &str) -> String {
    let mut taken = Vec::new();
    for reading in READINGS {
        let told = read(reason, reading);
        let told_bytes: Vec<u8> = told.iter().map(|spelt| spelt.byte).collect();
        let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (place, run) in told_bytes.windows(RUN_BYTES).enumerate() {
            places.entry(run).or_default().push(place);
        }
        for text in texts {
            let text: Vec<u8> = read(text.trim(), reading).iter().map(|s| s.byte).collect();
            match text.len() {
                0 => {}
                1..RUN_BYTES => taken.extend(words(&told, &told_bytes, &text)),
                _ => taken.extend(
                    text.windows(RUN_BYTES)
                        // Whatever else has this run is withheld the first time.
                        .filter_map(|run| places.remove(run))
                        .flatten()
                        .map(|place| span(&told[place..place + RUN_BYTES])),
                ),
            }
        }
    }
    taken.sort_unstable();
    let mut told = String::with_capacity(reason.len());
    let mut last_end = None;
    for (start, end) in taken {
        match last_end {
            Some(last) if start <= last => last_end = Some(end.max(last)),
            _ => {
                told.push_str(&reason[last_end.unwrap_or(0)..start]);
                told.push_str(WITHHELD);
                last_end = Some(end);
            }
        }
    }
    told.push_str(&reason[last_end.unwrap_or(0)..]);
    told
}

/// The first end of a character from `byte` on.
fn boundary(text: &str, byte: usize) -> usize {
    (byte..text.len())
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(text.len())
}

/// Where `text` stands as words of its own in what was told.
fn words(told: &[Spelt], told_bytes: &[u8], text: &[u8]) -> Vec<(usize, usize)> {
    let is_word = |spelt: Option<&Spelt>| spelt.is_some_and(|spelt| spelt.is_word);
    let places = told_bytes.windows(text.len()).enumerate();
    places
        .filter(|(_, run)| *run == text)
        .map(|(place, _)| (place, place + text.len()))
        .filter(|(start, end)| !is_word(told[..*start].last()) && !is_word(told.get(*end)))
        .map(|(start, end)| span(&told[start..end]))
        .collect()
}

/// From the begin of the first to the end of the last, which are some.
fn span(spelt: &[Spelt]) -> (usize, usize) {
    (spelt[0].start, spelt[spelt.len() - 1].end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Limits;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn job(changes: Value) -> Job {
        let mut job = json!({"id": "a", "kind": "generate", "model": "m.gguf"});
        let (Value::Object(job_fields), Value::Object(changes)) = (&mut job, changes) else {
            unreachable!("both are objects")
        };
        job_fields.extend(changes);
        Job::parse(job.to_string().as_bytes(), &Limits::default()).expect("a valid job")
    }

    fn told_of(job: &Job, reason: &str) -> String {
        told(job, Path::new("/srv/models/m.gguf"), reason)
    }

    #[test]
    fn a_model_is_told_by_its_name() {
        let reason = "/srv/models/m.gguf: can't be loaded (failed to open /srv/models/m.gguf)";
        assert_eq!(
            told_of(&job(json!({"kind": "bench"})), reason),
            "m.gguf: can't be loaded (failed to open m.gguf)"
        );
    }

    #[test]
    fn a_prompt_in_last_words_is_withheld_and_the_rest_told() {
        let prompt = "Where does the treasure lie, \"Jim\"?\nSay it.";
        let silent = job(json!({"prompt": prompt}));
        let reason = format!("killed by SIGABRT; assert failed: {prompt} (n < 5)");
        assert_eq!(
            told_of(&silent, &reason),
            "killed by SIGABRT; assert failed: [text of the job] (n < 5)"
        );
        assert_eq!(
            told_of(&silent, &format!("in {prompt:?}")),
            "in \"[text of the job]\""
        );
        assert_eq!(told_of(&silent, "GGML_ASSERT(n < 5)"), "GGML_ASSERT(n < 5)");
        assert_eq!(told_of(&silent, &prompt[..20]), WITHHELD);
        let open = job(json!({"prompt": prompt, "publish": {"text": true}}));
        assert_eq!(told_of(&open, &reason), reason);
    }

    #[test]
    fn a_short_text_is_withheld_as_a_word() {
        let messages = json!([{"role": "user", "content": "PIN 42"}]);
        let job = job(json!({"messages": messages}));
        assert_eq!(
            told_of(&job, "it said PIN 42."),
            "it said [text of the job]."
        );
        assert_eq!(told_of(&job, "PIN 421"), "PIN 421");
    }

    #[test]
    fn a_short_text_is_withheld_however_it_is_spelt() {
        let job = job(json!({"prompt": "谁是他"}));
        for reason in [
            "in '谁是他'",
            r"in '\u8c01\u662f\u4ed6'",
            r"in '\xe8\xb0\x81\xe6\x98\xaf\xe4\xbb\x96'",
        ] {
            assert_eq!(told_of(&job, reason), "in '[text of the job]'");
        }
    }

    /// The cuts are behind what was found.
    #[test]
    fn nothing_of_a_text_is_left_where_a_reason_is_cut() {
        let job = job(json!({"prompt": "treasure island"}));
        for before in 0..20 {
            let lines = "treasure island\n".repeat(400);
            let told = told_of(&job, &format!("{}\n{lines}", "-".repeat(before)));
            assert!(!told.contains("is") && !told.contains("tr"), "{told}");
        }
    }

    #[test]
    fn a_long_reason_keeps_its_ends() {
        let reason = format!("killed{}the end", "é".repeat(10_000));
        let told = told_of(&job(json!({"kind": "bench"})), &reason);
        assert!(told.starts_with("killedé") && told.ends_with("éthe end"));
        assert!(told.len() <= HEAD_BYTES + TAIL_BYTES + 10);
    }

    /// As Python prints it: `json.dumps`, `ascii` and `repr` of its bytes.
    fn spellings(text: &str) -> [String; 5] {
        let json = serde_json::to_string(text).expect("a text");
        let escaped = |c: char, characters: fn(char) -> String| match c.is_ascii() {
            true => c.to_string(),
            false => characters(c),
        };
        let units = |c: char| {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
        };
        let numbers = |c: char| match u32::from(c) {
            number @ ..=0xff => format!("\\x{number:02x}"),
            number @ 0x100..=0xffff => format!("\\u{number:04x}"),
            number => format!("\\U{number:08x}"),
        };
        let utf8 = |c: char| {
            let text = c.to_string();
            text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
        };
        let debug = text.escape_debug().to_string();
        [
            json.chars().map(|c| escaped(c, units)).collect(),
            debug.chars().map(|c| escaped(c, numbers)).collect(),
            debug.chars().map(|c| escaped(c, utf8)).collect(),
            debug,
            json,
        ]
    }

    proptest! {
        #[test]
        fn no_run_of_the_prompt_is_told(
            prompt in ".{12,60}", before in ".{0,40}", after in ".{0,40}",
        ) {
            prop_assume!(!prompt.trim().is_empty());
            let job = job(json!({"prompt": prompt}));
            let told = told_of(&job, &format!("{before}{prompt}{after}"));
            prop_assert!(!told.replace(WITHHELD, "").contains(&prompt), "{told:?}");
        }

        /// But for NUL, which Rust prints as \0, also before a digit.
        #[test]
        fn nothing_of_the_prompt_is_told_however_it_is_spelt(
            prompt in "[^\\\\\\s\0][^\\\\\0]{10,60}[^\\\\\\s\0]|[谁是他é😀\"\n\t]{12,20}x",
        ) {
            let job = job(json!({"prompt": prompt.trim()}));
            for spelling in spellings(prompt.trim()) {
                let told = told_of(&job, &format!("\n{spelling}\n"));
                let told = told.replace(WITHHELD, "");
                prop_assert!(told.len() <= 4, "{told:?}");
            }
        }

        #[test]
        fn backslashes_in_the_prompt_hide_nothing(prompt in "[\\\\nxu0é中a]{12,40}") {
            let job = job(json!({"prompt": prompt}));
            for spelling in spellings(&prompt) {
                let told = told_of(&job, &spelling);
                prop_assert!(!told.replace(WITHHELD, "").contains(&prompt), "{told:?}");
            }
        }

        #[test]
        fn what_has_nothing_in_common_is_told_as_it_is(reason in "[a-z ]{0,200}") {
            let job = job(json!({"prompt": "WHERE DOES THE TREASURE LIE"}));
            prop_assert_eq!(told_of(&job, &reason), reason);
        }
    }
}
