//! SIGTERM and SIGINT end the daemon.

use tokio::signal::unix::{SignalKind, signal};

/// From now on they no longer end the process by themselves. What is returned is ready once
/// either has arrived.
pub fn terminated() -> std::io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
