//! Which board of a group a job goes to: of those that it fits, the one with the fewest jobs.

use crate::lab::fleet::Member;
use crate::workload::{Job, QueueMode, SpecErrorCode};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Why a board can't have a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// For now: it is away, or takes none.
    Away(String),
    /// What the job asks for is not there.
    Lacks(String),
}

impl Unfit {
    pub fn reason(&self) -> &str {
        let (Self::Away(reason) | Self::Lacks(reason)) = self;
        reason
    }
}

/// A board that is left out, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    pub device: String,
    pub reason: String,
}

/// Why the job does not fit the board, by what the board says of itself.
pub fn unfit(member: &Member, job: &Value) -> Option<Unfit> {
    let away = |reason: &str| Some(Unfit::Away(reason.to_owned()));
    if !member.is_online() {
        return away("it is offline");
    }
    match member.status.as_ref().and_then(|status| status.queue) {
        Some(QueueMode::Paused) => return away("its queue is paused"),
        Some(QueueMode::Draining) => return away("its queue is draining"),
        Some(QueueMode::Open) | None => {}
    }
    lacks(member, job)
}

/// The same without whether it is there now.
pub fn lacks(member: &Member, job: &Value) -> Option<Unfit> {
    let lacks = |reason: String| Some(Unfit::Lacks(reason));
    let Some(info) = &member.info else {
        let reason = "it has published no info that this joulectl understands";
        return Some(Unfit::Away(reason.to_owned()));
    };
    let knows = |feature: &str| info.features.iter().any(|known| known == feature);
    let kind = job["kind"].as_str().unwrap_or_default();
    if !knows(kind) {
        return lacks(format!("it runs no jobs of kind {kind}"));
    }
    let fields = job.as_object().into_iter().flatten();
    let unknown = fields
        .filter(|(_, value)| !value.is_null())
        .map(|(field, _)| field)
        .find(|field| !matches!(field.as_str(), "v" | "id" | "kind") && !knows(field));
    if let Some(field) = unknown {
        return lacks(format!("it does not know the field {field}"));
    }
    match Job::parse(job.to_string().as_bytes(), &info.limits) {
        Err(error) if error.code == SpecErrorCode::InvalidSpec => {
            let field = error.field.as_deref().unwrap_or("the job");
            return lacks(format!("its limits: {field} {error}"));
        }
        _ => {}
    }
    if let Some(runtime) = job["runtime"].as_str()
        && !info.runtimes.iter().any(|known| known == runtime)
    {
        return lacks(format!("it has no runtime {runtime}"));
    }
    if let Some(data) = job["data"].as_str()
        && !info.may_have_data(data)
    {
        return lacks(format!("it has no data {data}"));
    }
    let model = job["model"].as_str()?;
    let Some(found) = info.models.iter().find(|known| known.name == model) else {
        return lacks(format!("it has no model {model}"));
    };
    let wanted = job["model_sha256"].as_str()?;
    match &found.sha256 {
        None => lacks(format!("its {model} is not hashed yet")),
        Some(actual) if !actual.eq_ignore_ascii_case(wanted) => {
            lacks(format!("its {model} has another SHA-256"))
        }
        Some(_) => None,
    }
}

/// Boards in the order in which the job is offered to them, and those that it does not fit.
/// `sent` is what this command has sent already, which no `status` may tell of yet. Of equals
/// the one that got less, then the one that has been there longest.
pub fn order<'m>(
    members: &'m [Member],
    job: &Value,
    sent: &BTreeMap<String, u32>,
) -> (Vec<&'m Member>, Vec<(&'m Member, Unfit)>) {
    let mut fit = Vec::new();
    let mut left_out = Vec::new();
    for member in members {
        match unfit(member, job) {
            None => fit.push(member),
            Some(why) => left_out.push((member, why)),
        }
    }
    fit.sort_by_key(|member| {
        let sent = sent.get(member.name()).copied().unwrap_or(0);
        let since = member.status.as_ref().map(|status| status.since.clone());
        (member.jobs() + sent, sent, since, member.name().to_owned())
    });
    (fit, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::target::Board;
    use proptest::prelude::*;
    use serde_json::json;

    fn member(name: &str, queued: u32) -> Member {
        let status = json!({"state": "online", "version": "0.1.0", "machine_id": name,
            "since": "2026-11-21T10:00:00Z", "jobs_queued": queued, "job_running": null,
            "queue": "open"});
        let info = json!({"group": "pi5", "runtimes": ["llama.cpp"],
            "features": ["generate", "model", "model_sha256", "prompt", "runtime", "params"],
            "models": [{"name": "m.gguf", "size_bytes": 1, "sha256": "ab".repeat(32),
                        "arch": "llama", "reason": null}]});
        Member {
            board: Board::new("jouled", name),
            status: serde_json::from_value(status).unwrap(),
            info: serde_json::from_value(info).unwrap(),
        }
    }

    fn job() -> Value {
        json!({"v": 1, "id": "a", "kind": "generate", "model": "m.gguf", "prompt": "x"})
    }

    fn names(members: &[&Member]) -> Vec<String> {
        members
            .iter()
            .map(|member| member.name().to_owned())
            .collect()
    }

    #[test]
    fn the_shortest_queue_comes_first_and_equals_take_turns() {
        let mut late = member("a", 1);
        late.status.as_mut().unwrap().since = "2026-11-21T11:00:00Z".to_owned();
        let members = [late, member("b", 1), member("c", 0), member("d", 1)];
        let order = |sent: &[(&str, u32)]| {
            let sent = sent
                .iter()
                .map(|(name, n)| ((*name).to_owned(), *n))
                .collect();
            names(&order(&members, &job(), &sent).0)
        };
        assert_eq!(order(&[]), ["c", "b", "d", "a"]);
        // What this command sent counts, whatever the statuses say.
        assert_eq!(order(&[("c", 1)]), ["b", "d", "a", "c"]);
        assert_eq!(order(&[("c", 2), ("b", 1)]), ["d", "a", "b", "c"]);
    }

    #[test]
    fn a_board_that_the_job_does_not_fit_is_left_out_with_the_reason() {
        let why = |change: &dyn Fn(&mut Member), job: Value| {
            let mut member = member("a", 0);
            change(&mut member);
            unfit(&member, &job).map(|why| why.reason().to_owned())
        };
        let as_it_is: &dyn Fn(&mut Member) = &|_| ();
        assert_eq!(why(as_it_is, job()), None);
        let says = |change: &dyn Fn(&mut Member), part: &str| {
            let reason = why(change, job()).expect(part);
            assert!(reason.contains(part), "{reason}");
        };
        fn status(member: &mut Member) -> &mut crate::record::device::Status {
            member.status.as_mut().unwrap()
        }
        says(
            &|member| status(member).state = crate::record::device::Presence::Offline,
            "offline",
        );
        says(
            &|member| status(member).queue = Some(QueueMode::Paused),
            "paused",
        );
        says(
            &|member| status(member).queue = Some(QueueMode::Draining),
            "draining",
        );
        says(&|member| member.info = None, "no info");
        says(
            &|member| member.info.as_mut().unwrap().models.clear(),
            "no model m.gguf",
        );
        says(
            &|member| member.info.as_mut().unwrap().features.clear(),
            "kind generate",
        );
        let with = |field: &str, value: Value, part: &str| {
            let mut job = job();
            job[field] = value;
            let reason = why(as_it_is, job).expect(part);
            assert!(reason.contains(part), "{reason}");
        };
        with("model_sha256", json!("cd".repeat(32)), "another SHA-256");
        with("tags", json!({"a": "b"}), "field tags");
        with("runtime", json!("npu"), "runtime npu");
        with("params", json!({"n_ctx": 1_000_000}), "params.n_ctx");
        let mut pinned = job();
        pinned["model_sha256"] = json!("AB".repeat(32));
        assert_eq!(why(as_it_is, pinned), None);
    }

    /// Only a board that has listed all of its data is known to lack some.
    #[test]
    fn data_is_looked_for_where_a_board_lists_it() {
        let why = |data: Value, left_out: u64| {
            let mut member = member("a", 0);
            let info = member.info.as_mut().unwrap();
            info.features.extend(["choice", "data"].map(str::to_owned));
            info.data = serde_json::from_value(data).unwrap();
            info.data_left_out = left_out;
            let job = json!({"v": 1, "id": "a", "kind": "choice", "model": "m.gguf",
                "data": "q.jsonl"});
            unfit(&member, &job).map(|why| why.reason().to_owned())
        };
        assert_eq!(why(json!(null), 0), None);
        assert_eq!(why(json!([{"name": "q.jsonl", "size_bytes": 9}]), 0), None);
        assert_eq!(why(json!([]), 1), None);
        let lacks = why(json!([{"name": "other", "size_bytes": 9}]), 0);
        assert_eq!(lacks.as_deref(), Some("it has no data q.jsonl"));
    }

    proptest! {
        /// However many jobs one command sends, boards that are equal get equally many.
        #[test]
        fn equals_get_equally_many(boards in 1_usize..6, jobs in 1_u32..60) {
            let members: Vec<Member> =
                (0..boards).map(|n| member(&format!("b{n}"), 0)).collect();
            let mut sent = BTreeMap::new();
            for _ in 0..jobs {
                let first = order(&members, &job(), &sent).0[0].name().to_owned();
                *sent.entry(first).or_insert(0) += 1;
            }
            let most = sent.values().max().copied().unwrap_or(0);
            prop_assert_eq!(most, jobs.div_ceil(boards as u32));
        }
    }
}
