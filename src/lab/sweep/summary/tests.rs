use super::*;
use crate::lab::sweep::testing::{of, seat};
use crate::lab::testing;
use crate::record::result::LeftOut;

const THREE: &str = "name = 'a'\nretries = 0\n[job]\nkind = 'bench'\n[[matrix]]\nmodel = 'm'\n\
                     threads = [1, 2, 4]\n[baseline]\nmodel = 'm'\n";

/// A study of three points with a baseline, as it ran on the board of the canned results:
/// energies of baseline, points, baseline.
fn ran(energies: [f64; 5]) -> (Study, Book, Vec<Stamped<JobResult>>) {
    let study = of(THREE);
    let mut book = Book::new(&study);
    let results = goes_on(&study, &mut book, &energies);
    (study, book, results)
}

fn goes_on(study: &Study, book: &mut Book, energies: &[f64]) -> Vec<Stamped<JobResult>> {
    let mut results = Vec::new();
    for energy in energies {
        let task = book.next(study, &seat(study, testing::DEVICE)).unwrap();
        let at = book.begin(study, testing::DEVICE, task, None);
        book.items[at].state = Standing::Succeeded;
        let mut result = testing::result();
        result.body.id.clone_from(&book.items[at].id);
        result.body.left_out.clear();
        let summary = result.body.summary.as_mut().unwrap();
        summary.j_per_output_token.as_mut().unwrap().mean = *energy;
        results.push(result);
    }
    assert_eq!(book.next(study, &seat(study, testing::DEVICE)), None);
    results
}

fn ranks_of(summary: &Summary) -> Vec<Option<usize>> {
    summary.rows.iter().map(|row| row.rank).collect()
}

#[test]
fn points_are_ranked_by_what_the_baseline_tells_apart() {
    let (study, book, results) = ran([1.00, 2.0, 1.01, 1.5, 1.02]);
    let summary = Summary::new(&study, &book, &results);
    assert_eq!(ranks_of(&summary), [Some(3), Some(1), Some(2)]);
    let text = console::strip_ansi_codes(&summary.text()).into_owned();
    assert!(
        text.contains("2 baseline runs, J/token lies 2.0 % apart, +2.0 % from"),
        "{text}"
    );
    assert!(text.contains("SIMULATED"), "{text}");
    let (study, book, results) = ran([1.0, 1.02, 1.01, 1.0, 1.1]);
    let same = Summary::new(&study, &book, &results);
    assert!(same.rows.iter().all(|row| row.rank == Some(1)));
    assert_eq!(same.json()["baseline"][0]["j_per_output_token"]["runs"], 2);
}

#[test]
fn marked_runs_have_no_figures_and_failures_are_named() {
    let (study, mut book, mut results) = ran([1.00, 2.0, 1.01, 1.5, 1.0]);
    results[1].body.left_out.push(LeftOut::SettingChanged);
    results.remove(2);
    book.items[3].state = Standing::Failed;
    book.items[3].reason = Some("worker killed".to_owned());
    let summary = Summary::new(&study, &book, &results);
    assert_eq!(summary.missing(), 1);
    let text = console::strip_ansi_codes(&summary.text()).into_owned();
    assert!(
        text.contains("1, 1 marked") && text.contains("1, 1 not collected"),
        "{text}"
    );
    assert!(
        text.contains("1 run was contended or throttled, or had a setting changed meanwhile:"),
        "{text}"
    );
    assert!(
        text.contains("failed: m threads 4 on ") && text.contains("worker killed"),
        "{text}"
    );
    assert!(summary.rows.iter().all(|row| row.rank.is_none()));
}

#[test]
fn a_baseline_that_failed_counts_until_a_later_one_succeeds() {
    let (study, mut book, results) = ran([1.0, 2.0, 1.01, 1.5, 1.0]);
    book.items[0].state = Standing::Refused;
    assert_eq!(Summary::new(&study, &book, &results).missing(), 0);
    book.items[4].state = Standing::Cancelled;
    assert_eq!(Summary::new(&study, &book, &results).missing(), 2);
    book.forgive();
    let task = book.next(&study, &seat(&study, testing::DEVICE)).unwrap();
    let at = book.begin(&study, testing::DEVICE, task, None);
    assert_eq!(Summary::new(&study, &book, &results).missing(), 2);
    book.items[at].state = Standing::Succeeded;
    assert_eq!(Summary::new(&study, &book, &results).missing(), 0);
}

#[test]
fn what_was_taken_over_is_ranked_by_the_drift_between_the_studies() {
    let (_, before, mut results) = ran([1.00, 2.0, 1.01, 1.5, 1.01]);
    let wider = of(&THREE.replace("4]", "4, 8]"));
    let mut book = Book::new(&wider);
    book.take_over(&wider, &before);
    // The board needs half as much again by now.
    results.extend(goes_on(&wider, &mut book, &[1.50, 2.2, 1.51]));
    let summary = Summary::new(&wider, &book, &results);
    assert_eq!(ranks_of(&summary), [Some(1); 4]);
    let text = console::strip_ansi_codes(&summary.text()).into_owned();
    assert!(
        text.contains("4 baseline runs, 2 of them taken over, J/token lies")
            && text.contains("+51.0 % from first to last"),
        "{text}"
    );
}

#[test]
fn what_ran_beside_another_baseline_has_no_rank() {
    let (_, before, mut results) = ran([1.00, 2.0, 1.01, 1.5, 1.01]);
    let other = THREE.replace("4]", "4, 8, 16]") + "threads = 2\n";
    let other = of(&other);
    let mut book = Book::new(&other);
    book.take_over(&other, &before);
    results.extend(goes_on(&other, &mut book, &[1.50, 2.2, 3.0, 1.51]));
    let summary = Summary::new(&other, &book, &results);
    assert_eq!(ranks_of(&summary), [None, None, None, Some(1), Some(2)]);
    let text = summary.text();
    assert!(
        text.contains("no rank for 3 points: the baseline"),
        "{text}"
    );
}

#[test]
fn without_a_baseline_there_are_no_ranks() {
    let (_, book, results) = ran([1.0, 2.0, 1.0, 1.5, 1.0]);
    let study = of("name = 'a'\n[[matrix]]\nkind = 'bench'\nmodel = 'm'\n");
    let mut book = book;
    book.items.retain(|item| item.role == Role::Point);
    let summary = Summary::new(&study, &book, &results);
    assert!(summary.rows.iter().all(|row| row.rank.is_none()));
    assert!(summary.text().contains("without a [baseline]"));
}
