//! Work that blocks, beside the event loop.

use crate::lab::LabError;
use tokio::sync::oneshot;

/// Does it on a thread of its own. One that is no longer awaited ends with the process, which
/// does not wait for it.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LabError> + Send + 'static,
) -> Result<T, LabError> {
    let (send, done) = oneshot::channel();
    std::thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || {
            // Who has stopped waiting does not need it.
            let _ = send.send(work());
        })
        .map_err(|error| LabError::Failed(format!("no thread can be started: {error}")))?;
    done.await
        .unwrap_or_else(|_| Err(LabError::Failed("the work was broken off".to_owned())))
}
