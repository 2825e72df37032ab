use super::*;
use crate::lab::sweep::order::sequence;
use crate::lab::sweep::testing::{of, seat, study};
use crate::workload::JobId;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Sends the next job to a board, which ends as told.
fn run(book: &mut Book, study: &Study, device: &str, end: Standing) -> Option<String> {
    let task = book.next(study, &seat(study, device))?;
    let at = book.begin(study, device, task, None);
    book.items[at].state = end;
    Some(book.items[at].id.clone())
}

fn told(book: &Book) -> Vec<String> {
    let told = |item: &Item| {
        let of = match item.role {
            Role::Point => format!("{}.{}", item.number, item.round),
            Role::Baseline => format!("b{}", item.number),
        };
        match item.trial {
            1 => of,
            trial => format!("{of}t{trial}"),
        }
    };
    book.items.iter().map(told).collect()
}

fn with_baseline(points: usize, every: Option<u32>) -> Study {
    let every = every.map_or(String::new(), |every| format!("every = {every}\n"));
    let threads: Vec<String> = (1..=points).map(|n| n.to_string()).collect();
    of(&format!(
        "name = 'test'\n[job]\nkind = 'bench'\n[[matrix]]\nmodel = 'm'\nthreads = [{}]\n\
         [baseline]\n{every}model = 'm'\n",
        threads.join(", ")
    ))
}

#[test]
fn the_baseline_runs_first_last_and_between() {
    let study = with_baseline(5, Some(2));
    let mut book = Book::new(&study);
    while run(&mut book, &study, "a", Standing::Succeeded).is_some() {}
    assert_eq!(
        told(&book),
        ["b1", "1.1", "2.1", "b2", "3.1", "4.1", "b3", "5.1", "b4"]
    );
    let study = with_baseline(2, None);
    let mut book = Book::new(&study);
    while run(&mut book, &study, "a", Standing::Succeeded).is_some() {}
    assert_eq!(told(&book), ["b1", "1.1", "2.1", "b2"]);
}

#[test]
fn what_failed_comes_again_at_the_end_and_never_blocks_the_rest() {
    let study = study(3);
    let mut book = Book::new(&study);
    for end in [Standing::Failed, Standing::Succeeded, Standing::Refused] {
        run(&mut book, &study, "a", end).unwrap();
    }
    let settled = |book: &Book, at: usize| book.is_settled(&study, &book.items[at]);
    assert_eq!([0, 1, 2].map(|at| settled(&book, at)), [false, true, true]);
    run(&mut book, &study, "a", Standing::Failed).unwrap();
    assert_eq!(told(&book), ["1.1", "2.1", "3.1", "1.1t2"]);
    assert!(settled(&book, 3), "it has had its tries");
    assert_eq!(book.next(&study, &seat(&study, "a")), None);
    book.forgive();
    assert!(run(&mut book, &study, "a", Standing::Failed).is_some());
    assert!(run(&mut book, &study, "a", Standing::Succeeded).is_some());
    run(&mut book, &study, "a", Standing::Succeeded).unwrap();
    assert_eq!(told(&book)[4..], ["1.1t3", "1.1t4", "3.1t2"]);
    assert_eq!(book.next(&study, &seat(&study, "a")), None);
}

#[test]
fn a_baseline_that_failed_runs_again_at_once() {
    let study = with_baseline(2, Some(1));
    let mut book = Book::new(&study);
    run(&mut book, &study, "a", Standing::Failed);
    while run(&mut book, &study, "a", Standing::Succeeded).is_some() {}
    assert_eq!(told(&book), ["b1", "b1t2", "1.1", "b2", "2.1", "b3"]);
}

#[test]
fn a_baseline_that_is_forgiven_gets_another_try() {
    let study = with_baseline(1, None);
    for bad in [Standing::Failed, Standing::Cancelled, Standing::Refused] {
        let mut book = Book::new(&study);
        run(&mut book, &study, "a", Standing::Succeeded).unwrap();
        run(&mut book, &study, "a", Standing::Succeeded).unwrap();
        while run(&mut book, &study, "a", bad).is_some() {}
        assert!(book.next(&study, &seat(&study, "a")).is_none(), "{bad:?}");
        let tries = book.items.len() - 2;
        book.forgive();
        run(&mut book, &study, "a", Standing::Succeeded).unwrap();
        let last = format!("b2t{}", tries + 1);
        assert_eq!(told(&book).pop(), Some(last), "{bad:?}");
        assert!(book.next(&study, &seat(&study, "a")).is_none(), "{bad:?}");
    }
}

#[test]
fn each_board_runs_everything_or_all_of_them_share_it() {
    let mut study = study(3);
    let both = |study: &Study| {
        let mut book = Book::new(study);
        while ["a", "b"]
            .map(|board| run(&mut book, study, board, Standing::Succeeded))
            .iter()
            .any(Option::is_some)
        {}
        told(&book)
    };
    assert_eq!(both(&study), ["1.1", "1.1", "2.1", "2.1", "3.1", "3.1"]);
    study.spread = Spread::Any;
    assert_eq!(both(&study), ["1.1", "2.1", "3.1"]);
}

#[test]
fn a_board_gets_what_fits_it() {
    let study = with_baseline(3, None);
    let mut book = Book::new(&study);
    let mut only_two = seat(&study, "a");
    for number in [0, 2] {
        only_two.unfit.insert(Some(number), "too large".to_owned());
    }
    for _ in 0..3 {
        let task = book.next(&study, &only_two).unwrap();
        let at = book.begin(&study, "a", task, None);
        book.items[at].state = Standing::Succeeded;
    }
    assert_eq!(told(&book), ["b1", "2.1", "b2"]);
    assert_eq!(book.next(&study, &only_two), None);
    // Nothing but the baseline is no study.
    only_two.unfit.insert(Some(1), "too large".to_owned());
    assert_eq!(Book::new(&study).next(&study, &only_two), None);
}

#[test]
fn another_manifest_takes_over_what_is_the_same() {
    let old = study(3);
    let mut first = Book::new(&old);
    for end in [Standing::Succeeded, Standing::Failed, Standing::Succeeded] {
        run(&mut first, &old, "a", end);
    }
    let mut new =
        of("name = 'test'\n[[matrix]]\nkind = 'bench'\nmodel = 'm.gguf'\nthreads = [4, 3, 2, 1]\n");
    new.hash = "0123456789abcdef".to_owned();
    let mut book = Book::new(&new);
    book.take_over(&new, &first);
    book.take_over(&new, &first);
    assert_eq!(told(&book), ["4.1", "2.1"], "threads 1 and 3");
    assert_eq!(book.items[0].taken_over_from.as_ref(), Some(&old.hash));
    assert!(book.items[0].id.contains(&old.hash[..10]));
    let ids: Vec<String> =
        std::iter::from_fn(|| run(&mut book, &new, "a", Standing::Succeeded)).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|id| id.contains("0123456789")), "{ids:?}");
    assert_eq!(book.stale(&new), None);
    assert!(
        book.stale(&of("name = 'a'\n[[matrix]]\nkind = 'bench'\nmodel = 'x'\n"))
            .is_some()
    );
}

#[test]
fn the_baseline_comes_with_the_points_that_it_brackets() {
    let old = with_baseline(2, None);
    let mut first = Book::new(&old);
    while run(&mut first, &old, "a", Standing::Succeeded).is_some() {}
    // Of a board of which nothing else is taken over, its baseline says nothing.
    run(&mut first, &old, "b", Standing::Succeeded).unwrap();
    run(&mut first, &old, "b", Standing::Failed).unwrap();
    let new = with_baseline(3, None);
    let mut book = Book::new(&new);
    book.take_over(&new, &first);
    book.take_over(&new, &first);
    assert_eq!(told(&book), ["1.1", "2.1", "b1", "b2"]);
    assert!(book.items.iter().all(|item| item.device == "a"));
    assert_eq!(book.stale(&new), None);
    // And once more, from the one that took it over.
    let last = with_baseline(4, None);
    let mut both = Book::new(&last);
    both.take_over(&last, &book);
    both.take_over(&last, &first);
    assert_eq!(told(&both), ["1.1", "2.1", "b1", "b2"]);
    let from = |item: &Item| item.taken_over_from.as_ref() == Some(&old.hash);
    assert!(both.items.iter().all(from));
    // This study's own begins all the same.
    run(&mut both, &last, "a", Standing::Succeeded).unwrap();
    assert_eq!(told(&both).pop(), Some("b1".to_owned()));
    let mut without = study(2);
    without.points.clone_from(&last.points);
    let mut alone = Book::new(&without);
    alone.take_over(&without, &first);
    assert_eq!(told(&alone), ["1.1", "2.1"]);
}

proptest! {
    /// Ids are fit for a topic, differ, and are the same in another run of the command.
    #[test]
    fn ids_are_unique_and_stable(
        name in "[A-Za-z0-9][A-Za-z0-9._-]{0,39}", points in 1_usize..12, rounds in 1_u32..4, trials in 1_u32..4,
    ) {
        let make = || Study { rounds, name: name.clone(), ..study(points) };
        let ids = |study: &Study| -> Vec<String> {
            let mut ids = Vec::new();
            for trial in 1..=trials {
                for number in 0..points {
                    for round in 1..=rounds {
                        ids.push(id(study, Task { role: Role::Point, number, round, trial }));
                    }
                    let number = number + 1;
                    ids.push(id(study, Task { role: Role::Baseline, number, round: 0, trial }));
                }
            }
            ids
        };
        let all = ids(&make());
        prop_assert_eq!(&all, &ids(&make()));
        prop_assert!(all.iter().all(|id| id.parse::<JobId>().is_ok()), "{:?}", all);
        let different: BTreeSet<&String> = all.iter().collect();
        prop_assert_eq!(different.len(), all.len());
    }

    /// Whatever fails, each slot succeeds once or has had all of its tries, and the baseline
    /// brackets the points of each board.
    #[test]
    fn a_study_ends_with_every_point_settled(
        points in 1_usize..8, rounds in 1_u32..3, retries in 0_u32..3, every in 1_u32..5,
        share in any::<bool>(), ends in proptest::collection::vec(0_u8..8, 200),
    ) {
        let mut study = Study { rounds, retries, ..with_baseline(points, Some(every)) };
        study.spread = if share { Spread::Any } else { Spread::Each };
        let boards = ["a", "b"];
        let mut book = Book::new(&study);
        let mut sent = 0;
        for step in 0.. {
            // What was read back from the disk is what was written.
            let text = serde_json::to_string(&book).unwrap();
            book = serde_json::from_str(&text).unwrap();
            let end = match ends[step % ends.len()] {
                0 | 1 => Standing::Failed,
                2 => Standing::Refused,
                _ => Standing::Succeeded,
            };
            if run(&mut book, &study, boards[step % 2], end).is_some() {
                sent = step;
            }
            if step > sent + 2 {
                break;
            }
            prop_assert!(step < 5_000, "it never ends");
        }
        let ids: BTreeSet<(&str, &str)> =
            book.items.iter().map(|item| (item.device.as_str(), item.id.as_str())).collect();
        prop_assert_eq!(ids.len(), book.items.len());
        for board in boards {
            let mine: Vec<&Item> = book.items.iter().filter(|item| item.device == board).collect();
            let mut since = 0;
            for item in &mine {
                since = if item.role == Role::Baseline { 0 } else { since + 1 };
                prop_assert!(since <= every);
            }
            let ends = [mine.first(), mine.last()].into_iter().flatten();
            prop_assert!(ends.into_iter().all(|item| item.role == Role::Baseline));
            for slot in sequence(&study, board) {
                let tries: Vec<&Item> = book.items.iter().filter(|item| {
                    item.role == Role::Point && item.number == slot.point + 1 && item.round == slot.round
                        && (share || item.device == board)
                }).collect();
                let good = tries.iter().filter(|item| item.state == Standing::Succeeded).count();
                let refused = tries.iter().any(|item| item.state == Standing::Refused);
                prop_assert!(good <= 1);
                prop_assert!(good == 1 || refused || tries.len() == retries as usize + 1);
            }
        }
    }
}
