//! The log as fields of systemd's journal, so that `journalctl JOULED_ID=smol-1` finds what
//! happened to a job.
//!
//! MESSAGE is the line that a terminal would show, its fields included: what failed must be
//! seen without asking for it. The protocol is systemd's "Native Journal Protocol": a datagram
//! of KEY=value lines. The crate tracing-journald leaves the fields out of MESSAGE, and waits for
//! a journal that does not keep up.

use rustix::fs::fstat;
use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

const SOCKET: &str = "/run/systemd/journal/socket";
/// A datagram takes some 200 KiB; no line of ours is meant to be as long as this.
const LONGEST_VALUE: usize = 16 * 1024;

/// The way to the journal.
pub struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// The journal, if it is what standard error leads to: `JOURNAL_STREAM` names the file that
    /// systemd connected (systemd.exec(5)), and who redirected it wants text.
    pub fn of_standard_error() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let file = fstat(rustix::stdio::stderr()).ok()?;
        if stream != format!("{}:{}", file.st_dev, file.st_ino) {
            return None;
        }
        Self::connect(Path::new(SOCKET)).ok()
    }

    fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        // A journal that does not keep up loses lines. It must not hold up a measurement.
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Datagrams<'a>;

    fn make_writer(&'a self) -> Datagrams<'a> {
        Datagrams(&self.socket)
    }
}

/// Each write is one entry of the journal.
pub struct Datagrams<'a>(&'a UnixDatagram);

impl io::Write for Datagrams<'_> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        // There is nowhere left to say that it is lost.
        let _ = self.0.send(entry);
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes an entry of an event.
pub struct Entries;

impl<S, N> FormatEvent<S, N> for Entries
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut entry = Entry::default();
        event.record(&mut entry);
        let metadata = event.metadata();
        writeln!(writer, "PRIORITY={}", priority(*metadata.level()))?;
        writeln!(writer, "SYSLOG_IDENTIFIER=jouled")?;
        writeln!(writer, "JOULED_TARGET={}", metadata.target())?;
        writer.write_str(&entry.fields)?;
        writeln!(writer, "MESSAGE={}{}", entry.message, entry.shown)
    }
}

/// Of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[derive(Default)]
struct Entry {
    message: String,
    /// The other fields, as they follow the message.
    shown: String,
    /// The same as lines of the entry.
    fields: String,
}

impl Entry {
    fn add(&mut self, field: &Field, value: &str) {
        let value = one_line(value);
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let name: String = field.name().chars().map(as_key).collect();
        // Text takes everything.
        let _ = write!(self.shown, " {}={value}", field.name());
        let _ = writeln!(self.fields, "JOULED_{name}={value}");
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// A value ends at the end of its line: a new one would begin another field.
fn one_line(value: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    value.chars().take(LONGEST_VALUE).map(plain).collect()
}

fn as_key(c: char) -> char {
    match c.to_ascii_uppercase() {
        c @ ('A'..='Z' | '0'..='9') => c,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::fmt;

    /// The lines of the one entry that `log` makes.
    fn entry(log: impl FnOnce()) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        let subscriber = fmt()
            .event_format(Entries)
            .with_writer(Journal::connect(&path).unwrap())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let mut bytes = [0; 4096];
        let length = journal.recv(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_event_becomes_one_entry_with_its_fields() {
        let error = "the disk is full";
        let lines = entry(|| tracing::error!(%error, id = "smol-1", attempt = 2, "not stored"));
        assert_eq!(lines[0], "PRIORITY=3");
        for line in [
            "SYSLOG_IDENTIFIER=jouled",
            "JOULED_TARGET=jouled::journal::tests",
            "JOULED_ERROR=the disk is full",
            "JOULED_ID=smol-1",
            "JOULED_ATTEMPT=2",
            "MESSAGE=not stored error=the disk is full id=smol-1 attempt=2",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line}: {lines:?}");
        }
    }

    #[test]
    fn a_value_adds_no_field_of_its_own() {
        let reason = "no\nPRIORITY=0\nMESSAGE=forged";
        let lines = entry(|| tracing::warn!(reason, "not connected"));
        let keys: Vec<&str> = lines
            .iter()
            .filter_map(|l| Some(l.split_once('=')?.0))
            .collect();
        let expected = "PRIORITY SYSLOG_IDENTIFIER JOULED_TARGET JOULED_REASON MESSAGE";
        assert_eq!(keys.join(" "), expected);
    }

    #[test]
    fn levels_are_priorities_of_syslog() {
        assert_eq!(entry(|| tracing::info!("a"))[0], "PRIORITY=6");
        assert_eq!(entry(|| tracing::warn!("a"))[0], "PRIORITY=4");
    }
}
