//! What goes first, what stays, and that it is done in pieces.

use super::super::RawDirectory;
use super::super::outbox::tests::*;
use super::super::testing::*;
use super::super::{Finished, Outgoing};
use super::*;

const NO_LIMIT: u64 = u64::MAX;

pub fn expire(store: &mut Store, keep_s: i64, max_bytes: u64, unix_s: i64) -> Expired {
    finish(store, Expiry::new(keep_s, max_bytes, unix_s, i64::MAX))
}

fn finish(store: &mut Store, mut expiry: Expiry) -> Expired {
    while !expiry.is_done() {
        store.expire(&mut expiry).unwrap();
    }
    expiry.expired
}

/// A job that left 20 token records of 20,000 bytes and a result.
fn run_large(store: &mut Store, name: &str, unix_s: i64) {
    store.submit(&job(name), 100, &at(unix_s)).unwrap();
    let begun = store.begin_attempt(&id(name), &at(unix_s)).unwrap();
    let mut records: Vec<Outgoing> = (0..20)
        .map(|seq| Outgoing::tokens(seq, vec![seq as u8; 20_000]))
        .collect();
    records.push(Outgoing::result(vec![9; 100]));
    let attempt = begun.unwrap().attempt;
    let how = Finished::Succeeded;
    let done = store.finish_attempt(&id(name), attempt, how, None, &records, &at(unix_s));
    done.unwrap().unwrap();
}

fn held(store: &Store) -> u64 {
    used_bytes(&store.db).unwrap()
}

#[test]
fn expiry_takes_the_oldest_published_first_and_never_an_open_job() {
    let (_dir, mut store) = new_store();
    run_large(&mut store, "old", 10);
    publish_all(&mut store);
    store.submit(&job("waits"), 100, &at(10)).unwrap();
    run_large(&mut store, "new", 1000);
    let expired = expire(&mut store, 100, NO_LIMIT, 1000);
    // `queued` and `running` of "old" were replaced before they left.
    assert_eq!(
        (expired.records, expired.jobs, expired.undelivered),
        (22, 1, 0)
    );
    assert!(store.state(&id("old")).unwrap().is_none());
    assert!(store.state(&id("waits")).unwrap().is_some());

    publish_all(&mut store);
    let max = held(&store) - 100_000;
    let expired = expire(&mut store, 100, max, 1000);
    assert!((5..10).contains(&expired.records), "{expired:?}");
    assert!(held(&store) <= max);
    store.replay(&id("new"), None, None).unwrap();
    let left = kinds(&store);
    assert_eq!(left.last(), Some(&"result"), "{left:?}");
}

/// Signed for longer than `storage.keep` has become meanwhile.
#[test]
fn a_signed_job_is_known_until_its_signature_is_good_no_more() {
    let (_dir, mut store) = new_store();
    for (name, signature) in [("signed", "2000.AA"), ("expired", "999.AA")] {
        let job = job_with(name, |job| job["signature"] = signature.into());
        store.submit(&job, 100, &at(10)).unwrap();
        store.cancel(&id(name), &at(10)).unwrap();
    }
    publish_all(&mut store);
    assert_eq!(expire(&mut store, 100, NO_LIMIT, 1000).jobs, 1);
    assert!(store.state(&id("expired")).unwrap().is_none());
    assert_eq!(expire(&mut store, 100, NO_LIMIT, 2000).jobs, 0);
    assert!(store.state(&id("signed")).unwrap().is_some());
    store.db.execute("UPDATE job SET spec = '{'", []).unwrap();
    assert_eq!(expire(&mut store, 100, NO_LIMIT, 2000).jobs, 1);
}

#[test]
fn records_that_nobody_took_expire_by_age_and_are_counted() {
    let (_dir, mut store) = new_store();
    run(&mut store, "a", 10);
    let seq = store.waiting(1)[0].seq;
    store.park(&[(seq, "not authorised".to_owned())]).unwrap();
    let expired = expire(&mut store, 100, NO_LIMIT, 1000);
    assert_eq!(
        (expired.records, expired.undelivered, expired.jobs),
        (5, 5, 1)
    );
    assert_eq!(store.backlog().unwrap(), Default::default());
}

#[test]
fn a_clock_that_jumps_drops_nothing_that_was_made_since() {
    let (_dir, mut store) = new_store();
    let raw = store.raw();
    run(&mut store, "before", 10);
    let aged_upto = store.newest_record().unwrap();
    run(&mut store, "since", 10);
    for name in ["before", "since"] {
        raw.keep(&id(name), 1, |out| out.write_all(&[7; 100]))
            .unwrap();
    }
    let refused = store.waiting(100).pop().unwrap();
    store
        .park(&[(refused.seq, "not authorised".to_owned())])
        .unwrap();
    const LATER: i64 = 1_700_000_000;
    let expired = finish(&mut store, Expiry::new(100, NO_LIMIT, LATER, aged_upto));
    let (records, undelivered) = (expired.records, expired.undelivered);
    assert_eq!((records, undelivered, expired.jobs), (5, 5, 1));
    assert_eq!(expired.raw_files, 1);
    assert_eq!(kinds(&store).len(), 4);
    assert!(store.state(&id("since")).unwrap().is_some());
    // Once that is old too, it goes.
    let aged_upto = store.newest_record().unwrap();
    let expired = finish(&mut store, Expiry::new(100, NO_LIMIT, LATER, aged_upto));
    assert_eq!(
        (expired.records, expired.jobs, expired.raw_files),
        (5, 1, 1)
    );
}

#[test]
fn records_that_nobody_took_are_not_dropped_for_their_size() {
    let (_dir, mut store) = new_store();
    run_large(&mut store, "a", 10);
    assert!(!store.is_full(500_000).unwrap());
    run_large(&mut store, "b", 10);
    assert!(store.is_full(500_000).unwrap());
    assert_eq!(expire(&mut store, 100, 500_000, 50), Expired::default());
    // Once they are published there is something to drop.
    publish_all(&mut store);
    assert!(!store.is_full(500_000).unwrap());
    assert!(expire(&mut store, 100, 500_000, 50).records > 10);
    assert!(held(&store) <= 500_000);
}

#[test]
fn much_goes_in_pieces_and_its_pages_go_back_to_the_disk() {
    let (_dir, mut store) = new_store();
    for n in 0..30 {
        run_large(&mut store, &format!("job-{n}"), 10);
        publish_all(&mut store);
    }
    let size = |store: &Store| std::fs::metadata(&store.path).unwrap().len();
    let checkpoint = |store: &Store| {
        let done = store.db.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()));
        done.unwrap();
    };
    checkpoint(&store);
    let before = size(&store);
    let mut expiry = Expiry::new(100, NO_LIMIT, 1000, i64::MAX);
    let mut most = 0;
    while !expiry.is_done() {
        let records = expiry.expired.records;
        store.expire(&mut expiry).unwrap();
        most = most.max(expiry.expired.records - records);
    }
    assert_eq!((expiry.expired.records, expiry.expired.jobs), (660, 30));
    // 4 MiB of 20,000 bytes each.
    assert!(most <= 230, "{most}");
    checkpoint(&store);
    assert!(before > 12_000_000 && size(&store) < 6_000_000);
}

#[test]
fn raw_data_goes_with_its_job_and_counts_into_what_is_held() {
    let (_dir, mut store) = new_store();
    let raw = store.raw();
    const RAW: u64 = 400_000;
    for (name, unix_s) in [("old", 10), ("middle", 900), ("new", 1000)] {
        run_large(&mut store, name, unix_s);
        raw.keep(&id(name), 1, |out| out.write_all(&[7; RAW as usize]))
            .unwrap();
    }
    publish_all(&mut store);
    let left = |raw: &RawDirectory| -> Vec<String> {
        let files = raw.files().unwrap();
        files.iter().map(|file| file.id.to_string()).collect()
    };
    let expired = expire(&mut store, 500, NO_LIMIT, 1000);
    assert_eq!((expired.raw_files, expired.jobs), (1, 1));
    assert_eq!(left(&raw), ["middle", "new"]);

    // Of one moment, raw data goes before records.
    let max = held(&store) + RAW;
    let expired = expire(&mut store, 500, max, 1000);
    assert_eq!((expired.raw_files, expired.records), (1, 0));
    assert_eq!(left(&raw), ["new"]);

    // Of two moments, the older one's records go before the younger one's raw data.
    let max = held(&store) + RAW - 300_000;
    let expired = expire(&mut store, 500, max, 1000);
    assert_eq!(expired.raw_files, 0);
    assert!(held(&store) + RAW <= max);
    assert_eq!(left(&raw), ["new"]);
}

#[test]
fn records_expire_also_where_raw_data_can_t_be_listed() {
    let (dir, mut store) = new_store();
    run(&mut store, "old", 10);
    run(&mut store, "new", 1000);
    publish_all(&mut store);
    std::fs::write(dir.path().join("raw"), "in the way").unwrap();
    let mut expiry = Expiry::new(100, 0, 1000, i64::MAX);
    let error = store.expire(&mut expiry).unwrap_err();
    assert!(error.to_string().contains("raw"), "{error}");
    while !expiry.is_done() {
        store.expire(&mut expiry).unwrap();
    }
    assert!(store.state(&id("old")).unwrap().is_none());
    assert!(store.state(&id("new")).unwrap().is_some());
    assert_eq!(store.replay(&id("new"), None, None).unwrap(), 0);
}
