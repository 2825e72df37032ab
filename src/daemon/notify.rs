//! What systemd is told about the service (sd_notify(3)). Without it nothing happens.

use crate::units::Span;
use sd_notify::NotifyState;

/// `systemctl status` shows one line.
const LONGEST: usize = 300;

/// The service has started, and what it is doing.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// What the service is doing, for a person.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(&line(text))]);
}

/// The end has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Every part goes on.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How long systemd waits for the next [`alive`] before it starts the service anew.
pub fn watchdog() -> Option<Span> {
    let patience = sd_notify::watchdog_enabled()?;
    Some(Span(u64::try_from(patience.as_nanos()).ok()?)).filter(|patience| *patience > Span(0))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        // It may be the first of many.
        tracing::debug!(%error, "systemd does not hear this service");
    }
}

/// A broker's words may be in it: they must not become a message of their own.
fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(line("not connected:\nREADY=1"), "not connected: READY=1");
        assert_eq!(line(&"ä".repeat(1_000)).chars().count(), LONGEST);
    }
}
