//! The reason of a failed attempt goes into the log and onto topics, and a worker's last words
//! are part of it. They may repeat the prompt: what of the job's own text is in them is taken
//! out, unless the job asks for text (`publish.text`), and always the folder of the model.

use crate::workload::{Job, Prompt};
use std::collections::HashSet;
use std::path::Path;

/// A run of this many bytes in common is no accident; a shorter text counts as a whole.
const RUN_BYTES: usize = 12;
const WITHHELD: &str = "[text of the job]";
/// How long a reason may be, so that the smallest record holds it, also with every byte of it
/// escaped.
const HEAD_BYTES: usize = 512;
const TAIL_BYTES: usize = 2_048;

/// `reason` as it may be told: `model` is where the model lies, which is nobody's business.
pub fn told(job: &Job, model: &Path, reason: &str) -> String {
    let short = shortened(&without_folder(model, reason));
    if job.publish.text {
        return short;
    }
    let texts: Vec<&str> = match job.prompt() {
        Some(Prompt::Text(text)) => vec![text],
        Some(Prompt::Messages(turns)) => turns.iter().map(|turn| turn.content.as_str()).collect(),
        None => return short,
    };
    // As they are, and as programs print them in quotes.
    let texts: Vec<String> = texts
        .into_iter()
        .flat_map(|text| {
            let quoted = serde_json::to_string(text).unwrap_or_default();
            [text.to_owned(), text.escape_debug().to_string(), quoted]
        })
        .collect();
    withhold(&texts, &short)
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

fn withhold(texts: &[String], reason: &str) -> String {
    let known: HashSet<&str> = texts
        .iter()
        .flat_map(|text| runs(text))
        .map(|(_, run)| run)
        .collect();
    let mut taken: Vec<(usize, usize)> = runs(reason)
        .filter(|(_, run)| known.contains(run))
        .map(|(start, run)| (start, start + run.len()))
        .collect();
    for text in texts.iter().map(|text| text.trim()) {
        if !text.is_empty() && text.len() < RUN_BYTES {
            taken.extend(words(reason, text));
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

/// Every run that begins at a character, to the first character's end that makes it long
/// enough: which run that is depends on its own text alone.
fn runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.char_indices().map_while(move |(start, _)| {
        let long_enough = start + RUN_BYTES <= text.len();
        long_enough.then(|| (start, &text[start..boundary(text, start + RUN_BYTES)]))
    })
}

/// Where `text` stands in `reason` as words of its own.
fn words<'r>(reason: &'r str, text: &'r str) -> impl Iterator<Item = (usize, usize)> {
    reason
        .match_indices(text)
        .filter_map(move |(start, found)| {
            let end = start + found.len();
            let before = reason[..start].chars().next_back();
            let after = reason[end..].chars().next();
            let apart = |next: Option<char>| !next.is_some_and(char::is_alphanumeric);
            (apart(before) && apart(after)).then_some((start, end))
        })
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
            "in [text of the job]"
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
    fn a_long_reason_keeps_its_ends() {
        let reason = format!("killed{}the end", "é".repeat(10_000));
        let told = told_of(&job(json!({"kind": "bench"})), &reason);
        assert!(told.starts_with("killedé") && told.ends_with("éthe end"));
        assert!(told.len() <= HEAD_BYTES + TAIL_BYTES + 10);
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

        #[test]
        fn what_has_nothing_in_common_is_told_as_it_is(reason in "[a-z ]{0,200}") {
            let job = job(json!({"prompt": "WHERE DOES THE TREASURE LIE"}));
            prop_assert_eq!(told_of(&job, &reason), reason);
        }
    }
}
