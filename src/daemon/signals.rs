//! SIGTERM and SIGINT end the daemon.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when either has arrived.
pub async fn terminated() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
