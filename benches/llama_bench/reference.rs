//! llama-bench as scripts/reference-llama-bench leaves it in the cache.

use super::{N_GEN, N_PROMPT, Speed};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;

/// The models that `joulectl` and scripts/reference-llama-bench fetch.
pub fn models_dir() -> Result<PathBuf> {
    Ok(cache_dir()?.join("models"))
}

fn cache_dir() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("jouled"))
}

pub struct LlamaBench {
    program: PathBuf,
    /// The release of llama-cpp-python whose llama.cpp it is.
    source: String,
}

/// The two fields of its JSON that the comparison reads.
#[derive(Deserialize)]
struct Run {
    n_prompt: u32,
    avg_ts: f64,
}

impl LlamaBench {
    pub fn find() -> Result<Self> {
        let dir = cache_dir()?.join("reference");
        let program = dir.join("llama-bench");
        ensure!(
            program.is_file(),
            "{} is missing: run make bench-llama",
            program.display()
        );
        let source = std::fs::read_to_string(dir.join("source"))
            .context("the reference build has no source note: run scripts/reference-llama-bench")?;
        Ok(Self {
            program,
            source: source.trim().to_owned(),
        })
    }

    /// llama-bench's speed depends on where its heap happens to put its buffers, by up to
    /// 14 % on one machine, and it lists the directory that it lies in before it allocates
    /// them: one place would compare with one arrangement. So each `pair` has neighbours of
    /// its own number.
    pub fn run(&self, model: &str, threads: usize, pair: usize) -> Result<Speed> {
        let dir = tempfile::tempdir()?;
        let program = dir.path().join("llama-bench");
        std::fs::copy(&self.program, &program)?;
        for neighbour in 0..pair * 37 % 101 {
            std::fs::write(dir.path().join(format!("neighbour-{neighbour}")), "")?;
        }
        let output = Command::new(&program)
            .arg("-m")
            .arg(models_dir()?.join(model))
            .args(["-p", &N_PROMPT.to_string(), "-n", &N_GEN.to_string()])
            .args(["-t", &threads.to_string(), "-ngl", "0"])
            .args(["-r", "1", "-o", "json"])
            .output()
            .with_context(|| format!("{} did not start", self.program.display()))?;
        ensure!(
            output.status.success(),
            "llama-bench ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let runs: Vec<Run> = serde_json::from_slice(&output.stdout)?;
        let speed = |n_prompt: u32| {
            runs.iter()
                .find(|run| run.n_prompt == n_prompt)
                .map(|run| run.avg_ts)
                .with_context(|| format!("llama-bench reported no run with n_prompt {n_prompt}"))
        };
        Ok(Speed {
            prefill: speed(N_PROMPT)?,
            decode: speed(0)?,
        })
    }

    pub fn describe(&self) -> String {
        self.source.clone()
    }
}
