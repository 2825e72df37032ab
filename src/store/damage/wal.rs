//! Whether a write-ahead log holds commits that SQLite will not read.
//!
//! SQLite reads a log up to the first frame whose checksum is wrong and forgets the rest
//! without a word. After a power cut that is right: the rest was never acknowledged. But
//! when commits lie beyond, they were, since every commit of ours is synced before the next one
//! begins. The format is the one that sqlite.org/fileformat2.html
//! describes in "The Write-Ahead Log": a header of 32 bytes, then frames of 24 bytes and a
//! page, each with the checksum of everything before.
//!
//! A log that was cut off at its end can't be told from one that was never longer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// The running checksum: Fibonacci-weighted sums of 32-bit words.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum {
    words_are_big_endian: bool,
    sums: (u32, u32),
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let word = |four: &[u8]| {
            let four = four.try_into().expect("chunks of 4");
            match self.words_are_big_endian {
                true => u32::from_be_bytes(four),
                false => u32::from_le_bytes(four),
            }
        };
        for pair in bytes.chunks_exact(8) {
            let (first, second) = (word(&pair[..4]), word(&pair[4..]));
            self.sums.0 = self.sums.0.wrapping_add(first).wrapping_add(self.sums.1);
            self.sums.1 = self.sums.1.wrapping_add(second).wrapping_add(self.sums.0);
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        (be(stored, 0), be(stored, 4)) == self.sums
    }
}

fn be(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Why the log can't be read to its end; `None` where nothing in it was acknowledged and
/// will be forgotten, or where there is no log.
pub fn damage(log: &Path) -> io::Result<Option<&'static str>> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    judge(&mut BufReader::with_capacity(64 * 1024, file))
}

fn judge(log: &mut impl BufRead) -> io::Result<Option<&'static str>> {
    let mut header = [0; HEADER];
    if !fill(log, &mut header)? {
        // Nothing is acknowledged before the header and a frame are on the disk.
        return Ok(None);
    }
    const GARBAGE: Option<&str> = Some("the header of its write-ahead log is garbage");
    if header == [0; HEADER] {
        let rest = log.bytes().find(|byte| !matches!(byte, Ok(0)));
        return rest.transpose().map(|found| found.and(GARBAGE));
    }
    let mut sum = Sum {
        words_are_big_endian: header[3] & 1 == 1,
        sums: (0, 0),
    };
    sum.add(&header[..HEADER - 8]);
    let page = match be(&header, 8) {
        1 => 65_536,
        size => size as usize,
    };
    let is_page = page.is_power_of_two() && (512..=65_536).contains(&page);
    if be(&header, 0) & !1 != MAGIC || !is_page || !sum.is(&header[24..]) {
        return Ok(GARBAGE);
    }
    let salts = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut broken = false;
    // A commit beyond the break; the one after which nothing follows may not have been
    // acknowledged.
    let mut commit_beyond = false;
    while fill(log, &mut frame)? {
        if frame[8..16] != *salts {
            // Of an earlier use of the file; after a break, whatever broke it.
            match broken {
                true => continue,
                false => broken = true,
            }
            continue;
        }
        if commit_beyond {
            return Ok(Some("commits in its write-ahead log can't be read"));
        }
        if !broken {
            sum.add(&frame[..8]);
            sum.add(&frame[FRAME_HEADER..]);
            broken = !sum.is(&frame[16..24]);
        }
        commit_beyond = broken && be(&frame, 4) != 0;
    }
    Ok(None)
}

/// Fills `buffer`; `false` where the log ends before.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// The log of a store in which ten jobs were submitted, one commit each.
    fn log() -> Vec<u8> {
        static LOG: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let (dir, mut store) = new_store();
            for n in 0..10 {
                let job = job(&format!("job-{n}"));
                store.submit(&job, 100, &at(1)).expect("writable");
            }
            std::fs::read(dir.path().join("jouled.db-wal")).expect("a log")
        });
        LOG.clone()
    }

    fn judged(bytes: &[u8]) -> Option<&'static str> {
        judge(&mut &bytes[..]).expect("memory is readable")
    }

    #[test]
    fn a_sound_log_is_sound_wherever_it_ends() {
        let log = log();
        assert!(log.len() > 40_000, "{}", log.len());
        assert_eq!(judged(&log), None);
        for length in (0..log.len()).step_by(997) {
            assert_eq!(judged(&log[..length]), None, "cut to {length}");
        }
        assert_eq!(judged(&vec![0; 5_000]), None);
    }

    #[test]
    fn a_garbage_header_is_found() {
        let mut log = log();
        for at in 0..HEADER {
            log[at] ^= 0x55;
            assert!(judged(&log).is_some(), "byte {at}");
            log[at] ^= 0x55;
        }
        log[..HEADER].fill(0);
        assert!(judged(&log).is_some());
    }

    #[test]
    fn a_broken_last_commit_was_not_acknowledged() {
        let mut log = log();
        let last = log.len() - 10;
        log[last] ^= 1;
        assert_eq!(judged(&log), None);
    }

    proptest! {
        #[test]
        fn a_break_before_two_commits_is_found(share in 0.0_f64..0.5, bit in 0_u8..8) {
            let mut log = log();
            let page = be(&log, 8) as usize;
            let frames = (log.len() - HEADER) / (FRAME_HEADER + page);
            let frame = (frames as f64 * share) as usize;
            // In the page of the frame.
            let at = HEADER + frame * (FRAME_HEADER + page) + FRAME_HEADER + 17;
            log[at] ^= 1 << bit;
            prop_assert!(judged(&log).is_some());
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let _ = judged(&bytes);
        }
    }
}
