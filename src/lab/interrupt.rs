//! Waiting for the user or the system to end the program.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when SIGINT, SIGTERM or SIGHUP arrives. From the first call on, these signals no
/// longer end the process by themselves.
pub async fn interrupted() {
    let catch = |kind| signal(kind).expect("a Unix kernel lets us catch this signal");
    let mut interrupt = catch(SignalKind::interrupt());
    let mut terminate = catch(SignalKind::terminate());
    let mut hangup = catch(SignalKind::hangup());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
