use super::*;
use crate::lab::testing;
use crate::record::Stamped;
use crate::record::result::{JobResult, LeftOut};
use crate::sensor::Boundary;

/// A run whose energy per output token is `factor` times the canned one's, with what
/// repetitions differ by.
fn run(id: &str, factor: f64) -> Run {
    let mut record = testing::result();
    record.body.id = id.to_owned();
    record.body.left_out.clear();
    for (n, rep) in record.body.reps.iter_mut().enumerate() {
        let figures = &mut rep.figures;
        let each = factor * (1.0 + 0.004 * (n as f64 - 1.0));
        figures.j_per_output_token = figures.j_per_output_token.map(|j| j * each);
    }
    if let Some(statistic) = record
        .body
        .summary
        .as_mut()
        .and_then(|summary| summary.j_per_output_token.as_mut())
    {
        statistic.mean *= factor;
        statistic.median *= factor;
        statistic.u_sys = Some(0.01 * statistic.mean);
    }
    Run {
        file: format!("{id}.json"),
        record,
    }
}

fn group(letter: char, factors: &[f64]) -> Group {
    let runs = factors.iter().enumerate();
    let runs = runs.map(|(n, factor)| run(&format!("{letter}-{n}"), *factor));
    Group {
        letter,
        runs: runs.collect(),
    }
}

fn shown(groups: &[Group], marked: Marked, design: Design, width: usize) -> String {
    let compared: Vec<Compared> = DEFAULT
        .iter()
        .map(|figure| compare(groups, figure, marked, design).unwrap())
        .collect();
    let text = text::render(&compared, marked, width);
    console::strip_ansi_codes(&text).into_owned()
}

fn energy(groups: &[Group], design: Design) -> Against {
    let compared = compare(groups, DEFAULT[0], Marked::LeftOut, design).unwrap();
    compared.ratios[0].clone()
}

#[test]
fn two_groups_at_80_columns() {
    let groups = [
        group('A', &[1.0, 1.01, 0.99]),
        group('B', &[0.9, 0.89, 0.91]),
    ];
    insta::assert_snapshot!(shown(&groups, Marked::LeftOut, Design::Apart, 80));
}

#[test]
fn single_runs_pairwise_with_all_that_is_wrong() {
    let mut groups = [group('A', &[1.0]), group('B', &[1.001]), group('C', &[0.5])];
    let real = &mut groups[1].runs[0].record;
    real.stamp.device = "orin-02".to_owned();
    real.body.rails[0].simulated = false;
    real.body.rails[0].boundary = Boundary::Module;
    groups[2].runs[0].record.body.left_out = vec![LeftOut::Contended, LeftOut::Throttled];
    insta::assert_snapshot!(shown(&groups, Marked::LeftOut, Design::Apart, 100));
}

#[test]
fn noise_larger_than_the_effect_ranks_nothing() {
    let groups = [
        group('A', &[1.0, 1.02, 0.98]),
        group('B', &[0.99, 1.01, 0.97]),
    ];
    let found = energy(&groups, Design::Apart);
    assert_eq!(found.verdict, Verdict::NotResolved);
    assert!(found.low.unwrap() < 1.0 && 1.0 < found.high.unwrap());
}

#[test]
fn pairs_resolve_what_drifts_together() {
    let groups = [
        group('A', &[1.0, 1.1, 1.2]),
        group('B', &[0.97, 1.068, 1.163]),
    ];
    let apart = energy(&groups, Design::Apart);
    assert_eq!(apart.verdict, Verdict::NotResolved);
    let paired = energy(&groups, Design::Pairs);
    assert!((paired.ratio.unwrap() - 0.97).abs() < 1e-3);
    // The canned records have no budget: their systematic part can't be known to cancel.
    assert!(paired.high.unwrap() - paired.low.unwrap() < apart.high.unwrap() - apart.low.unwrap());
}

#[test]
fn marked_runs_count_only_when_asked_for() {
    let mut groups = [group('A', &[1.0, 1.01, 5.0]), group('B', &[0.9, 0.91])];
    groups[0].runs[2].record.body.left_out = vec![LeftOut::Contended];
    let of = |marked| compare(&groups, DEFAULT[0], marked, Design::Apart).unwrap();
    let without = of(Marked::LeftOut);
    assert_eq!(without.groups[0].n, 2);
    assert_eq!(without.groups[0].left_out[0].marks, [LeftOut::Contended]);
    let with = of(Marked::Included);
    assert_eq!((with.groups[0].n, with.groups[0].left_out.len()), (3, 0));
    let text = shown(&groups, Marked::Included, Design::Apart, 80);
    assert!(text.contains("--include-marked"), "{text}");
    let text = shown(&groups, Marked::LeftOut, Design::Apart, 80);
    assert!(
        text.contains("left out of A: A-2.json: contended"),
        "{text}"
    );
}

#[test]
fn a_run_without_the_figure_is_left_out_with_its_reason() {
    let groups = [group('A', &[1.0, 1.0]), group('B', &[1.0, 1.0])];
    let compared = compare(
        &groups,
        "j_per_prompt_token",
        Marked::LeftOut,
        Design::Apart,
    )
    .unwrap();
    assert_eq!(compared.groups[0].n, 0);
    assert_eq!(
        compared.groups[0].left_out[0].reason,
        Some(Reason::TooCoarse)
    );
    assert_eq!(compared.ratios[0].verdict, Verdict::NotResolved);
    assert_eq!(compared.ratios[0].reason, Some(Reason::TooFew));
}

#[test]
fn the_same_sensor_is_the_same_board_rail_and_calibration() {
    let mut groups = [group('A', &[1.0, 1.0]), group('B', &[1.0, 1.0])];
    let of = |groups: &[Group]| energy(groups, Design::Apart).sensors;
    assert_eq!(of(&groups), Some(Sensors::Same));
    groups[1].runs[1].record.body.rails[0].calibration_date = Some("2026-11-01".to_owned());
    assert_eq!(of(&groups), Some(Sensors::Different));
}

#[test]
fn a_run_that_does_not_count_says_nothing_about_those_that_do() {
    let mut groups = [
        group('A', &[1.0, 1.0, 1.0]),
        group('B', &[0.9, 0.9, 0.9, 0.9]),
    ];
    for run in groups.iter_mut().flat_map(|group| &mut group.runs) {
        run.record.body.rails[0].simulated = false;
    }
    // It failed before the sensors were open.
    let failed = &mut groups[0].runs[0].record.body;
    failed.left_out = vec![LeftOut::NotSucceeded];
    failed.rails.clear();
    failed.total.clear();
    failed.model = None;
    let contended = &mut groups[1].runs[0].record;
    contended.body.left_out = vec![LeftOut::Contended];
    contended.body.rails[0].simulated = true;
    contended.stamp.device = "orin-02".to_owned();
    for figure in [DEFAULT[0], "total.input"] {
        let compared = compare(&groups, figure, Marked::LeftOut, Design::Apart).unwrap();
        assert_eq!(compared.ratios[0].sensors, Some(Sensors::Same));
        assert_eq!(compared.warnings, Vec::<String>::new());
        let rows = &compared.groups;
        assert_eq!((rows[0].n, rows[1].n), (2, 3));
        assert_eq!(rows[0].boundary.as_deref(), Some("board-input"));
        assert_eq!(rows[0].device, rows[1].device);
        assert_eq!(rows[0].what, rows[1].what);
        assert!(!rows[1].simulated);
    }
}

#[test]
fn a_total_belongs_to_its_own_rail() {
    let mut groups = [group('A', &[1.0, 1.0]), group('B', &[1.0, 1.0])];
    for run in groups.iter_mut().flat_map(|group| &mut group.runs) {
        let body = &mut run.record.body;
        body.rails[0].simulated = false;
        let mut module = body.rails[0].clone();
        module.name = "module".to_owned();
        module.boundary = Boundary::Module;
        body.rails.push(module);
        let input = body.total["input"].clone();
        body.total.insert("module".to_owned(), input);
    }
    let body = &mut groups[1].runs[1].record.body;
    body.rails.last_mut().unwrap().simulated = true;
    body.rails[0].calibration_date = Some("2026-11-01".to_owned());
    let of =
        |groups: &[Group], figure| compare(groups, figure, Marked::LeftOut, Design::Apart).unwrap();
    let module = of(&groups, "total.module");
    assert_eq!(module.groups[0].boundary.as_deref(), Some("module"));
    assert_eq!(
        module.warnings,
        ["SIMULATED: 1 of 4 runs have joules of no real board"]
    );
    assert_eq!(module.ratios[0].sensors, Some(Sensors::Same));
    let input = of(&groups, "total.input");
    assert_eq!(input.warnings, Vec::<String>::new());
    assert_eq!(input.ratios[0].sensors, Some(Sensors::Different));
    // A run that lacks the rail is named, one that is left out by rule need not have it.
    groups[1].runs[0].record.body.total.remove("module");
    let error = compare(&groups, "total.module", Marked::LeftOut, Design::Apart).unwrap_err();
    assert!(error.to_string().contains("job B-0 "), "{error}");
    groups[1].runs[0].record.body.left_out = vec![LeftOut::NotSucceeded];
    assert_eq!(of(&groups, "total.module").groups[1].n, 1);
}

#[test]
fn a_value_that_is_not_positive_is_not_called_too_few() {
    let groups = [group('A', &[1.0, 1.0]), group('B', &[1.0, -1.0])];
    let found = energy(&groups, Design::Apart);
    assert_eq!(found.reason, Some(Reason::NotDefined));
    let text = shown(&groups, Marked::LeftOut, Design::Apart, 80);
    assert!(text.contains("is not positive"), "{text}");
}

#[test]
fn files_are_checked_before_anything_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, record: &Stamped<JobResult>| {
        let path = dir.path().join(name);
        std::fs::write(&path, record.to_json()).unwrap();
        path
    };
    let one = write("a.json", &run("a", 1.0).record);
    let again = write("b.json", &run("a", 1.0).record);
    let other = write("c.json", &run("c", 1.0).record);
    let options = |results: &[&PathBuf], with: &[&PathBuf]| Options {
        results: results.iter().map(|path| (*path).clone()).collect(),
        with: with.iter().map(|path| (*path).clone()).collect(),
        figure: Vec::new(),
        pairs: false,
        include_marked: false,
        json: true,
    };
    assert!(groups_error(&options(&[&one], &[])).contains("nothing to be compared with"));
    assert!(groups_error(&options(&[&one, &again], &[])).contains("twice"));
    assert!(groups(&options(&[&one], &[&other])).is_ok());
    let mut pairs = options(&[&one], &[&other]);
    pairs.pairs = true;
    let error = super::run(&pairs).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("interleaved"), "{error}");
    let mut wrong = options(&[&one], &[&other]);
    wrong.figure = vec!["enery".to_owned()];
    assert_eq!(super::run(&wrong).unwrap_err().exit_code(), 2);
}

fn groups_error(options: &Options) -> String {
    groups(options).err().expect("it is refused").to_string()
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let groups = [
        group('A', &[1.0, 1.01, 0.99]),
        group('B', &[0.9, 0.89, 0.91]),
    ];
    let mut far = [group('A', &[1.0, 1.0, 1.001]), group('B', &[1.0, 1.001])];
    let other = &mut far[1].runs[0].record;
    other.stamp.device = "orin-02".to_owned();
    other.body.rails[0].boundary = Boundary::Module;
    far[0].runs[2].record.body.left_out = vec![LeftOut::Contended, LeftOut::Throttled];
    for groups in [&groups, &far] {
        for width in [60, 80, 100, 120] {
            for line in shown(groups, Marked::LeftOut, Design::Apart, width).lines() {
                assert!(
                    console::measure_text_width(line) <= width,
                    "{width}: {line}"
                );
            }
        }
    }
}
