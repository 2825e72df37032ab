//! llama.cpp's quantiser, in a `jouled-worker` of its own: joulectl links no inference code, and
//! llama.cpp ends in a signal on some files.

use crate::lab::LabError;
use crate::runtime::quantize::{ARGUMENT, News, Order, Outcome};
use crate::runtime::spawn;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

const WORKER: &str = "jouled-worker";
/// A line for each tensor, of which no model has a million.
const MOST_NEWS_BYTES: u64 = 64 << 20;
/// A worker says at once who it is.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Of its last words.
const TAIL_BYTES: usize = 2 << 10;

#[derive(Debug, Clone)]
pub struct Quantizer {
    program: PathBuf,
}

/// How it went, and who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub engine: String,
    pub outcome: Outcome,
}

impl Quantizer {
    /// The given program, or the worker where builds, installations and packages leave it.
    pub fn find(given: Option<&Path>) -> Result<Self, LabError> {
        if let Some(program) = given {
            return match program.is_file() {
                true => Ok(Self {
                    program: program.to_owned(),
                }),
                false => Err(LabError::Usage(format!(
                    "--worker {}: there is no such file",
                    program.display()
                ))),
            };
        }
        let own = std::env::current_exe().unwrap_or_default();
        let here = own.parent().unwrap_or(Path::new("/"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let beside = [
            here.join(WORKER),
            here.join("../libexec/jouled").join(WORKER),
        ];
        let in_path = std::env::split_paths(&path).map(|folder| folder.join(WORKER));
        let found = beside
            .into_iter()
            .chain(in_path)
            .find(|file| file.is_file());
        found.map(|program| Self { program }).ok_or_else(|| {
            LabError::Failed(format!(
                "no {WORKER} here, which has llama.cpp's quantiser in it: install the package \
                 jouled too (its service may stay off), or name the program with --worker"
            ))
        })
    }

    /// Has the order carried out; `hear` is told of each tensor's turn. When this is dropped, the
    /// worker is killed.
    pub async fn run(&self, order: &Order, hear: impl FnMut(&str)) -> Result<Done, LabError> {
        let failed = |error: std::io::Error| {
            LabError::Failed(format!("{}: {error}", self.program.display()))
        };
        let words = [
            self.program.to_string_lossy().into_owned(),
            ARGUMENT.to_owned(),
        ];
        let mut child = Command::from(spawn::prepare(&words).map_err(failed)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut line = serde_json::to_string(order).expect("an order has only JSON-able fields");
        line.push('\n');
        let piped = "a prepared process has three pipes";
        let mut input = child.stdin.take().expect(piped);
        let output = child.stdout.take().expect(piped);
        let errors = child.stderr.take().expect(piped);
        // One that has ended already says why below.
        let _ = input.write_all(line.as_bytes()).await;
        let listening = async {
            let heard = listen(output, hear).await;
            if !matches!(&heard, Ok(Heard { end: Some(_), .. })) {
                // One that says something else is of no use; most have ended.
                let _ = child.start_kill();
            }
            drop(input);
            heard
        };
        let (heard, last_words) = tokio::join!(listening, last_words(errors));
        let status = child.wait().await.map_err(failed)?;
        match heard.map_err(failed)? {
            Heard {
                end: Some(News::Done(outcome)),
                engine: Some(engine),
            } => Ok(Done { engine, outcome }),
            Heard {
                end: Some(News::Failed { message }),
                ..
            } => Err(LabError::Failed(message)),
            Heard { engine: None, .. } => Err(LabError::Failed(format!(
                "{} is no {WORKER} of this version: install jouled {} and joulectl \
                 together{last_words}",
                self.program.display(),
                env!("CARGO_PKG_VERSION"),
            ))),
            Heard { .. } => Err(LabError::Failed(format!(
                "llama.cpp's quantiser ended early ({status}); the file is damaged, or of a kind \
                 that it does not know{last_words}"
            ))),
        }
    }
}

/// What a worker said.
struct Heard {
    engine: Option<String>,
    end: Option<News>,
}

async fn listen(output: ChildStdout, mut hear: impl FnMut(&str)) -> std::io::Result<Heard> {
    let mut lines = BufReader::new(output.take(MOST_NEWS_BYTES)).lines();
    let mut heard = Heard {
        engine: None,
        end: None,
    };
    // Another program may wait for the end of its input, which is that of the worker.
    let Ok(first) = timeout(ANSWERS_WITHIN, lines.next_line()).await else {
        return Ok(heard);
    };
    let mut next = first?;
    while let Some(line) = next {
        match serde_json::from_str(&line) {
            Ok(News::Engine { revision }) => heard.engine = Some(revision),
            Ok(News::Tensor { name }) => hear(&name),
            Ok(end) => {
                heard.end = Some(end);
                break;
            }
            // Another program's, or another version's.
            Err(_) => break,
        }
        next = lines.next_line().await?;
    }
    Ok(heard)
}

/// The end of its standard error, to be put behind a sentence.
async fn last_words(mut errors: ChildStderr) -> String {
    let mut tail = Vec::new();
    let mut block = [0; 4096];
    while let Ok(n @ 1..) = errors.read(&mut block).await {
        tail.extend_from_slice(&block[..n]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
    let text = String::from_utf8_lossy(&tail);
    let mut lines = text.lines().rev().map(str::trim);
    match lines.find(|line| !line.is_empty()) {
        Some(line) => format!(". Its last words: {line}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn order() -> Order {
        Order {
            input: "m.gguf".to_owned(),
            output: None,
            file_type: 2,
            threads: 1,
            allow_requantize: false,
        }
    }

    /// A program that stands in for the worker.
    async fn run(script: &str) -> (Result<Done, LabError>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("worker");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let quantizer = Quantizer::find(Some(&program)).unwrap();
        let mut tensors = Vec::new();
        let done = quantizer
            .run(&order(), |name| tensors.push(name.to_owned()))
            .await;
        (done, tensors)
    }

    const ENGINE: &str = r#"echo '{"type":"engine","revision":"b1"}'"#;

    #[tokio::test]
    async fn the_order_is_given_and_the_news_are_heard() {
        let script = format!(
            r#"{ENGINE}; read order
            case "$1 $order" in quantize*'"file_type":2'*) ;; *) exit 7;; esac
            echo '{{"type":"tensor","name":"a"}}'
            echo '{{"type":"done","tensor_bytes":5,"fallback_tensors":1,"needs_matrix":false}}'"#
        );
        let (done, tensors) = run(&script).await;
        let done = done.unwrap();
        assert_eq!(
            (done.engine.as_str(), tensors),
            ("b1", vec!["a".to_owned()])
        );
        assert_eq!(
            (done.outcome.tensor_bytes, done.outcome.fallback_tensors),
            (Some(5), 1)
        );
    }

    #[tokio::test]
    async fn however_it_ends_the_error_says_so() {
        for (script, parts) in [
            (
                format!(
                    r#"{ENGINE}; echo '{{"type":"failed","message":"requantizing is disabled"}}'"#
                ),
                vec!["requantizing is disabled"],
            ),
            (
                format!("{ENGINE}; echo 'GGML_ASSERT(n > 0) failed' >&2; kill -ABRT $$"),
                vec!["SIGABRT", "damaged", "GGML_ASSERT(n > 0) failed"],
            ),
            (
                "read order; echo '{\"type\":\"hello\"}'".to_owned(),
                vec!["no jouled-worker of this version"],
            ),
            // It would never end by itself.
            (
                "echo hello; exec sleep 600".to_owned(),
                vec!["no jouled-worker of this version"],
            ),
            ("exit 3".to_owned(), vec!["no jouled-worker"]),
        ] {
            let (done, _) = run(&script).await;
            let error = done.unwrap_err().to_string();
            assert!(
                parts.iter().all(|part| error.contains(part)),
                "{script}: {error}"
            );
        }
    }

    #[test]
    fn a_worker_that_is_named_must_be_there() {
        let error = Quantizer::find(Some(Path::new("/nonexistent/w"))).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
